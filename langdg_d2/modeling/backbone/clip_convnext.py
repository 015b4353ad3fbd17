"""CLIP's ConvNeXts as Detectron2 backbones, split after the first stage.

LayerNorm keeps no batch statistics, and stages end without an activation.
"""

from collections.abc import Sequence
from typing import Any

from detectron2.layers import ShapeSpec
from open_clip.timm_model import TimmModel
from timm.layers import create_conv2d
from timm.models import ConvNeXt
from torch import Tensor, nn

from ...utils.errors import LangDGError
from .staged import StagedBackbone

_STRIDES = (4, 8, 16, 32)
_OUTPUT_STRIDES = (16, 32)


class ClipConvNeXt(StagedBackbone):
    """Image tower of a ConvNeXt CLIP in three steps: `forward_low`, `forward_high`, `embed`.

    Layer groups are `stem`, one per block (`stages.0.0` to `stages.3.2` in the base size; a stage's
    first block includes its downsampling), and `head`. No activation follows restyling, because
    stages end without one.

    Args:
        tower: returned by `load_image_tower`; modified in place and owned by this module.
        output_stride: stride of the high-level features: 16 or 32 (CLIP's). At 16, the last stage
            is dilated as in timm.
        trainable: layer groups to train, see `freezing.freeze`.
        restyled_layer: `stages.0`, or `stem`, `stages.1`, `stages.2`.
    """

    stages = ("stem", *(f"stages.{k}" for k in range(4)))

    def __init__(
        self,
        *,
        tower: TimmModel,
        output_stride: int = 32,
        trainable: Sequence[str],
        restyled_layer: str = "stages.0",
    ) -> None:
        trunk: Any = getattr(tower, "trunk", None)
        if not isinstance(trunk, ConvNeXt):
            found = type(trunk or tower).__name__
            raise LangDGError(
                f"the image tower is a {found}, expected a ConvNeXt: choose a 'convnext*' model"
            )
        if output_stride not in _OUTPUT_STRIDES:
            raise LangDGError(f"output_stride {output_stride} must be one of {_OUTPUT_STRIDES}")
        if output_stride < _STRIDES[-1]:
            _dilate(trunk.stages[-1])
        widths = [stage["num_chs"] for stage in trunk.feature_info]
        strides = [min(stride, output_stride) for stride in (_STRIDES[0], *_STRIDES)]
        pairs = zip([widths[0], *widths], strides, strict=True)
        super().__init__(
            tower=tower,
            shapes=[ShapeSpec(channels=width, stride=stride) for width, stride in pairs],
            trainable=trainable,
            restyled_layer=restyled_layer,
        )

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See `Backbone.layer_groups`."""
        trunk = self.tower.trunk
        groups: dict[str, list[nn.Module]] = {"stem": [trunk.stem]}
        for name, stage in zip(self.stages[1:], trunk.stages, strict=True):
            for index, block in enumerate(stage.blocks):
                groups[f"{name}.{index}"] = [block] if index else [stage.downsample, block]
        groups["head"] = [trunk.norm_pre, trunk.head, self.tower.head]
        return groups

    def embed(self, high: Tensor) -> Tensor:
        """Compute CLIP's unnormalised image embeddings (N, D).

        Args:
            high: (N, C, h, w), high-level features at stride 32 of images of any size.
        """
        trunk = self.tower.trunk
        return self.tower.head(trunk.forward_head(trunk.norm_pre(high)))

    @property
    def embedding_side(self) -> None:
        """None, because the features are averaged."""

    def _stage(self, name: str) -> nn.Module:
        return self.tower.trunk.get_submodule(name)


def _dilate(stage: Any) -> None:
    """Remove the stride of a stage and dilate its depthwise convolutions by 2 instead."""
    strided = stage.downsample[1]
    dense = create_conv2d(
        strided.in_channels,
        strided.out_channels,
        strided.kernel_size[0],
        stride=1,
        padding="same",
        bias=strided.bias is not None,
    )
    dense.load_state_dict(strided.state_dict())
    stage.downsample[1] = dense
    for block in stage.blocks:
        reach = block.conv_dw.kernel_size[0] // 2
        block.conv_dw.dilation = (2, 2)
        block.conv_dw.padding = (2 * reach, 2 * reach)
