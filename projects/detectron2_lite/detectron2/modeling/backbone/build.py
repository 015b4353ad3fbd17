"""Backbones by name."""

from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry

from .backbone import Backbone

BACKBONE_REGISTRY = Registry("BACKBONE")
BACKBONE_REGISTRY.__doc__ = """Backbones: called with the config and the ShapeSpec of the images,
an entry returns a Backbone."""


def build_backbone(cfg: Any, input_shape: ShapeSpec | None = None) -> Backbone:
    """The backbone named by ``cfg.MODEL.BACKBONE.NAME``.

    Args:
        input_shape: by default as many channels as ``cfg.MODEL.PIXEL_MEAN`` has.
    """
    if input_shape is None:
        input_shape = ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN))
    name = cfg.MODEL.BACKBONE.NAME
    backbone = BACKBONE_REGISTRY.get(name)(cfg, input_shape)
    assert isinstance(backbone, Backbone), f"{name} made a {type(backbone)}, not a Backbone"
    return backbone
