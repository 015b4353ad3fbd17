"""The network: backbone, head, and the segmentor that wires them."""

from .backbone import (
    Backbone,
    ClipConvNeXt,
    ClipResNet,
    ClipWeightsError,
    TextAlignedBackbone,
    embedding_backbone,
    load_clip,
    load_image_tower,
)
from .criterion import PixelCrossEntropy
from .feature_augmentation import FeatureAugmentation
from .meta_arch import LangDGSegmentor
from .pixel_normalization import PixelNormalization
from .sem_seg_head import DeepLabV3PlusHead
from .summary import training_summary
from .text_encoder import TextEncoder

__all__ = [
    "Backbone",
    "ClipConvNeXt",
    "ClipResNet",
    "ClipWeightsError",
    "DeepLabV3PlusHead",
    "FeatureAugmentation",
    "LangDGSegmentor",
    "PixelCrossEntropy",
    "PixelNormalization",
    "TextAlignedBackbone",
    "TextEncoder",
    "embedding_backbone",
    "load_clip",
    "load_image_tower",
    "training_summary",
]
