"""Plain data structures: label spaces, and later patch grids and channel statistics."""

from .label_space import CITYSCAPES_19, ENCODINGS, LabelEncoding, LabelSpace

__all__ = ["CITYSCAPES_19", "ENCODINGS", "LabelEncoding", "LabelSpace"]
