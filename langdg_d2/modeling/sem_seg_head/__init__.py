"""Segmentation heads."""

from .deeplab_v3plus import DeepLabV3PlusHead

__all__ = ["DeepLabV3PlusHead"]
