"""A frozen CLIP for mining, with an image backbone and a text encoder."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from open_clip.modified_resnet import ModifiedResNet
from timm.models import ConvNeXt

from ..layers import fold
from ..utils.errors import LangDGError
from .backbone.base import TextAlignedBackbone
from .backbone.clip_convnext import ClipConvNeXt
from .backbone.clip_loading import load_clip
from .backbone.clip_resnet import ClipResNet
from .backbone.output_stride import STRIDES
from .text_encoder import TextEncoder


class EmbeddingClip(NamedTuple):
    """A frozen CLIP that embeds images and texts in one space.

    Attributes:
        name: name recorded in banks.
        backbone: image backbone in eval mode, at CLIP's stride.
        text: encoder of prompts.
    """

    name: str
    backbone: TextAlignedBackbone
    text: TextEncoder


def load_embedding_clip(*, name: str, weights: str | None, restyled_layer: str) -> EmbeddingClip:
    """Load a CLIP for mining, on the CPU.

    Args:
        name: see `load_clip`.
        weights: see `load_clip`.
        restyled_layer: name of the restyled layer in the image tower.
    """
    clip: Any = load_clip(name=name, weights=weights).requires_grad_(False).eval()
    tower = clip.visual
    trunk = getattr(tower, "trunk", tower)
    backbone: TextAlignedBackbone
    if isinstance(trunk, ModifiedResNet):
        backbone = ClipResNet(
            tower=tower,
            output_stride=STRIDES[-1],  # the attention pooling needs this stride
            trainable=(),
            restyled_layer=restyled_layer,
            attention_pool=True,
        )
    elif isinstance(trunk, ConvNeXt):
        backbone = ClipConvNeXt(tower=tower, trainable=(), restyled_layer=restyled_layer)
    else:
        raise LangDGError(
            f"the CLIP's image tower is a {type(trunk).__name__}, expected a ModifiedResNet or a "
            "ConvNeXt: choose an 'RN*' or a 'convnext*' model"
        )
    # Several times faster on CPUs.
    backbone = backbone.eval().to(memory_format=torch.channels_last)
    fold(backbone)
    text = TextEncoder(clip=clip, name=name)
    return EmbeddingClip(Path(name).name.removesuffix(".json"), backbone, text)
