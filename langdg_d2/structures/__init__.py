"""Data structures: label spaces and encodings, patch grids, channel statistics."""

from .channel_stats import ChannelStats, mix, patch_stats, restyle
from .label_encoding import ENCODINGS, LabelEncoding
from .label_space import (
    CITYSCAPES_19,
    CLASS_SUBSETS,
    LabelSpace,
    class_subsets,
    classes_named,
)
from .patch_grid import PatchGrid

__all__ = [
    "CITYSCAPES_19",
    "CLASS_SUBSETS",
    "ENCODINGS",
    "ChannelStats",
    "LabelEncoding",
    "LabelSpace",
    "PatchGrid",
    "class_subsets",
    "classes_named",
    "mix",
    "patch_stats",
    "restyle",
]
