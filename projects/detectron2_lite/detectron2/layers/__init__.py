"""Building blocks of networks."""

from .batch_norm import FrozenBatchNorm2d, LayerNorm, NaiveSyncBatchNorm, get_norm
from .shape_spec import ShapeSpec
from .wrappers import BatchNorm2d, Conv2d, ConvTranspose2d, Linear, cat, interpolate, nonzero_tuple

__all__ = [
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "FrozenBatchNorm2d",
    "LayerNorm",
    "Linear",
    "NaiveSyncBatchNorm",
    "ShapeSpec",
    "cat",
    "get_norm",
    "interpolate",
    "nonzero_tuple",
]
