"""Registries and base classes of models."""

from detectron2.layers import ShapeSpec

from .backbone import BACKBONE_REGISTRY, Backbone
from .meta_arch import META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY, build_model
from .postprocessing import sem_seg_postprocess

__all__ = [
    "BACKBONE_REGISTRY",
    "META_ARCH_REGISTRY",
    "SEM_SEG_HEADS_REGISTRY",
    "Backbone",
    "ShapeSpec",
    "build_model",
    "sem_seg_postprocess",
]
