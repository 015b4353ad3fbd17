"""CLIP's ResNet towers as segmentation backbones."""

from .clip_loading import ClipWeightsError, load_clip, load_image_tower
from .clip_resnet import ClipResNet
from .freezing import FrozenLayers, layer_groups
from .layers import HIGH_LEVEL, LOW_LEVEL
from .output_stride import set_output_stride

__all__ = [
    "HIGH_LEVEL",
    "LOW_LEVEL",
    "ClipResNet",
    "ClipWeightsError",
    "FrozenLayers",
    "layer_groups",
    "load_clip",
    "load_image_tower",
    "set_output_stride",
]
