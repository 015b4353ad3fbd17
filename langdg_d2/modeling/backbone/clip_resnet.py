"""CLIP's ModifiedResNet as a Detectron2 backbone, split where FAMix restyles features.

Paper section 4: the stem and `layer1` compute the low-level features (stride 4), which are
restyled; `layer2` to `layer4` compute the high-level features from them.
"""

from collections.abc import Sequence
from math import isqrt

import torch
from detectron2.layers import ShapeSpec
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from ...layers import AttentionPool
from ...utils.errors import LangDGError
from .output_stride import BLOCK_LAYERS, STRIDES, set_output_stride
from .staged import StagedBackbone

_STEM = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")


class ClipResNet(StagedBackbone):
    """Image tower of a ResNet CLIP in three steps: `forward_low`, `forward_high`, `embed`.

    Features are restyled between the first two. Layer groups are `stem`, one per block (`layer1.0`
    to `layer4.2` in RN50), and `attnpool` if the tower keeps it.

    Args:
        tower: returned by `load_image_tower`; modified in place and owned by this module.
        output_stride: stride of the high-level features: 8, 16 or 32 (CLIP's); see
            `set_output_stride`.
        trainable: layer groups to train, see `freezing.freeze`.
        restyled_layer: `layer1` as in FAMix, or `stem`, `layer2`, `layer3`.
        attention_pool: whether to keep CLIP's attention pooling, which only `embed` needs.
    """

    stages = ("stem", *BLOCK_LAYERS)
    restyle_activation = staticmethod(torch.relu)

    def __init__(
        self,
        *,
        tower: ModifiedResNet,
        output_stride: int,
        trainable: Sequence[str],
        restyled_layer: str = "layer1",
        attention_pool: bool = False,
    ) -> None:
        if not isinstance(tower, ModifiedResNet):
            raise LangDGError(
                f"the image tower is a {type(tower).__name__}, expected a ModifiedResNet: choose "
                "an 'RN*' model"
            )
        set_output_stride(tower, output_stride=output_stride)
        tower.attnpool = AttentionPool(tower.attnpool) if attention_pool else None
        blocks = [getattr(tower, layer)[-1] for layer in BLOCK_LAYERS]
        widths = [tower.conv3.out_channels, *(block.conv3.out_channels for block in blocks)]
        strides = [min(stride, output_stride) for stride in (STRIDES[0], *STRIDES)]
        super().__init__(
            tower=tower,
            shapes=[ShapeSpec(channels=c, stride=s) for c, s in zip(widths, strides, strict=True)],
            trainable=trainable,
            restyled_layer=restyled_layer,
        )

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See `Backbone.layer_groups`."""
        groups = {"stem": [getattr(self.tower, name) for name in _STEM]}
        for layer in BLOCK_LAYERS:
            for index, block in enumerate(getattr(self.tower, layer)):
                groups[f"{layer}.{index}"] = [block]
        if isinstance(self.tower.attnpool, nn.Module):
            groups["attnpool"] = [self.tower.attnpool]
        return groups

    def embed(self, high: Tensor) -> Tensor:
        """Compute CLIP's unnormalised image embeddings (N, D) with the attention pooling.

        Args:
            high: (N, C, `embedding_side`, `embedding_side`), high-level features at stride 32 of
                images of CLIP's input size.
        """
        return self.tower.attnpool(high)

    @property
    def embedding_side(self) -> int:
        """Height and width of the high-level features that `embed` needs; 7 in CLIP RN50."""
        if self.tower.attnpool is None:
            raise LangDGError("the tower has no attention pooling: build it with attention_pool")
        positions = len(self.tower.attnpool.positional_embedding) - 1  # without the mean token
        return isqrt(positions)
