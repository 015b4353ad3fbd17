"""Heads for semantic segmentation by name."""

from collections.abc import Mapping
from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry
from torch import nn

__all__ = ["SEM_SEG_HEADS_REGISTRY", "build_sem_seg_head"]

SEM_SEG_HEADS_REGISTRY = Registry("SEM_SEG_HEADS")
SEM_SEG_HEADS_REGISTRY.__doc__ = """Heads from feature maps to class scores: called with the
config and the ShapeSpecs of the feature maps by name, an entry returns a module."""


def build_sem_seg_head(cfg: Any, input_shape: Mapping[str, ShapeSpec]) -> nn.Module:
    """The head named by ``cfg.MODEL.SEM_SEG_HEAD.NAME``, for these feature maps."""
    return SEM_SEG_HEADS_REGISTRY.get(cfg.MODEL.SEM_SEG_HEAD.NAME)(cfg, input_shape)
