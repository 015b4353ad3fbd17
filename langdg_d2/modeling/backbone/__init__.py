"""CLIP's ResNet towers as segmentation backbones."""

from .base import Backbone, TextAlignedBackbone
from .clip_loading import ClipWeightsError, load_clip, load_image_tower
from .clip_resnet import ClipResNet
from .freezing import layer_groups
from .output_stride import set_output_stride

__all__ = [
    "Backbone",
    "ClipResNet",
    "ClipWeightsError",
    "TextAlignedBackbone",
    "layer_groups",
    "load_clip",
    "load_image_tower",
    "set_output_stride",
]
