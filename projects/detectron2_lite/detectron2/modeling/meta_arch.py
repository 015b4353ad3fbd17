"""Whole models, and heads for semantic segmentation."""

from typing import Any

from detectron2.utils.registry import Registry
from torch import nn

__all__ = ["META_ARCH_REGISTRY", "SEM_SEG_HEADS_REGISTRY", "build_model"]

META_ARCH_REGISTRY = Registry("META_ARCH")  # called with a config
SEM_SEG_HEADS_REGISTRY = Registry("SEM_SEG_HEADS")  # and with the ShapeSpecs of features


def build_model(cfg: Any) -> nn.Module:
    """The model `cfg.MODEL.META_ARCHITECTURE` on `cfg.MODEL.DEVICE`."""
    return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).to(cfg.MODEL.DEVICE)
