"""Building blocks of networks."""

from .batch_norm import FrozenBatchNorm2d, NaiveSyncBatchNorm, get_norm
from .shape_spec import ShapeSpec
from .wrappers import Conv2d

__all__ = ["Conv2d", "FrozenBatchNorm2d", "NaiveSyncBatchNorm", "ShapeSpec", "get_norm"]
