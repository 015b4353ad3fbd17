"""Segmentation heads."""

from .deeplab_v3plus import DeepLabV3PlusHead
from .plain import DeconvHead, LinearHead, SegFormerHead

__all__ = ["DeconvHead", "DeepLabV3PlusHead", "LinearHead", "SegFormerHead"]
