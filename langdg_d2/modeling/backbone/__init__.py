"""Segmentation backbones."""

from .adapters import Adapter, LoRA, Rein, SoMA, merge
from .base import Backbone, TextAlignedBackbone
from .clip_convnext import ClipConvNeXt
from .clip_loading import ClipWeightsError, load_clip, load_image_tower
from .clip_resnet import ClipResNet
from .output_stride import set_output_stride
from .pyramid import DeconvPyramid, ResizePyramid
from .timm_loading import load_timm_tower
from .vit import VitTower

__all__ = [
    "Adapter",
    "Backbone",
    "ClipConvNeXt",
    "ClipResNet",
    "ClipWeightsError",
    "DeconvPyramid",
    "LoRA",
    "Rein",
    "ResizePyramid",
    "SoMA",
    "TextAlignedBackbone",
    "VitTower",
    "load_clip",
    "load_image_tower",
    "load_timm_tower",
    "merge",
    "set_output_stride",
]
