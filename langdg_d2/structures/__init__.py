"""Plain data structures: label space, patch grid, channel statistics."""

from .channel_stats import ChannelStats, mix, patch_stats, restyle
from .label_maps import ENCODINGS, LabelEncoding
from .label_space import (
    CITYSCAPES_19,
    CLASS_SUBSETS,
    LabelSpace,
    class_subsets,
    classes_named,
)
from .patch_grid import PatchGrid
from .precision import PRECISIONS, at_least_single, autocast, dtype_of

__all__ = [
    "CITYSCAPES_19",
    "CLASS_SUBSETS",
    "ENCODINGS",
    "PRECISIONS",
    "ChannelStats",
    "LabelEncoding",
    "LabelSpace",
    "PatchGrid",
    "at_least_single",
    "autocast",
    "class_subsets",
    "classes_named",
    "dtype_of",
    "mix",
    "patch_stats",
    "restyle",
]
