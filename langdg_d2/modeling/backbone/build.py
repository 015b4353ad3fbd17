"""The backbone that belongs to a CLIP's image tower."""

from open_clip.modified_resnet import ModifiedResNet
from timm.models import ConvNeXt
from torch import nn

from ...utils.errors import LangDGError
from .base import TextAlignedBackbone
from .clip_convnext import ClipConvNeXt
from .clip_resnet import ClipResNet
from .output_stride import STRIDES


def embedding_backbone(tower: nn.Module, *, restyled_layer: str) -> TextAlignedBackbone:
    """A frozen backbone that embeds images as CLIP itself does, for mining.

    Args:
        tower: `visual` of a CLIP; modified in place and owned by the backbone.
        restyled_layer: the tower's own name of the layer whose features are restyled.
    """
    if isinstance(tower, ModifiedResNet):
        return ClipResNet(
            tower=tower,
            output_stride=STRIDES[-1],  # the attention pooling has positions for no other
            trainable=(),
            restyled_layer=restyled_layer,
            attention_pool=True,
        )
    trunk = getattr(tower, "trunk", tower)
    if isinstance(trunk, ConvNeXt):
        return ClipConvNeXt(tower=tower, trainable=(), restyled_layer=restyled_layer)
    raise LangDGError(
        f"the CLIP's image tower is a {type(trunk).__name__}, expected a ModifiedResNet or a "
        "ConvNeXt: choose an 'RN*' or a 'convnext*' model"
    )
