"""Backbones, heads, and the segmentor that combines them."""

from .backbone import (
    Adapter,
    Backbone,
    ClipConvNeXt,
    ClipResNet,
    ClipWeightsError,
    DeconvPyramid,
    LoRA,
    Rein,
    ResizePyramid,
    SoMA,
    TextAlignedBackbone,
    VitTower,
    load_clip,
    load_image_tower,
    load_timm_tower,
    merge,
)
from .criterion import PixelCrossEntropy
from .embedding_clip import EmbeddingClip, load_embedding_clip
from .feature_augmentation import FeatureAugmentation
from .meta_arch import LangDGSegmentor
from .pixel_normalization import PixelNormalization
from .sem_seg_head import DeconvHead, DeepLabV3PlusHead, LinearHead, SegFormerHead
from .summary import training_summary
from .text_encoder import TextEncoder

__all__ = [
    "Adapter",
    "Backbone",
    "ClipConvNeXt",
    "ClipResNet",
    "ClipWeightsError",
    "DeconvHead",
    "DeconvPyramid",
    "DeepLabV3PlusHead",
    "EmbeddingClip",
    "FeatureAugmentation",
    "LangDGSegmentor",
    "LinearHead",
    "LoRA",
    "PixelCrossEntropy",
    "PixelNormalization",
    "Rein",
    "ResizePyramid",
    "SegFormerHead",
    "SoMA",
    "TextAlignedBackbone",
    "TextEncoder",
    "VitTower",
    "load_clip",
    "load_embedding_clip",
    "load_image_tower",
    "load_timm_tower",
    "merge",
    "training_summary",
]
