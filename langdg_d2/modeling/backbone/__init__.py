"""Towers as segmentation backbones."""

from .base import Backbone, TextAlignedBackbone
from .build import embedding_backbone
from .clip_convnext import ClipConvNeXt
from .clip_loading import ClipWeightsError, load_clip, load_image_tower
from .clip_resnet import ClipResNet
from .output_stride import set_output_stride

__all__ = [
    "Backbone",
    "ClipConvNeXt",
    "ClipResNet",
    "ClipWeightsError",
    "TextAlignedBackbone",
    "embedding_backbone",
    "load_clip",
    "load_image_tower",
    "set_output_stride",
]
