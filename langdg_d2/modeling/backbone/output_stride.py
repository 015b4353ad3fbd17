"""Output stride of CLIP's ModifiedResNet: trade strides of its last layers for dilation."""

from typing import Literal, get_args

from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import nn

from ...utils.errors import LangDGError
from .layer_names import BLOCK_LAYERS, STRIDES

DilationPattern = Literal["famix", "deeplab"]

_OUTPUT_STRIDES = (8, 16, 32)


def set_output_stride(
    tower: ModifiedResNet, *, output_stride: int, pattern: DilationPattern
) -> None:
    """Dilate the last layers of a freshly loaded tower in place.

    Layers beyond `output_stride` keep their input's resolution: their average pools, also the one
    in the shortcut, become identities, and 3x3 convolutions are dilated instead:

    - `famix`: the first block of a layer by 1, the last by all the stride lost so far, those
      between by what was lost before the layer. NOTE: this is how the official FAMix weights were
      trained; at stride 16 only the very last block of the tower is dilated.
    - `deeplab`: the first block by what was lost before the layer, every other block by all the
      stride lost so far (DeepLabV3, arXiv 1706.05587).

    Args:
        tower: CLIP's image tower at its own stride, 32; its weights are not touched.
        output_stride: 8, 16 or 32; stride of `layer4`'s output.
    """
    if output_stride not in _OUTPUT_STRIDES:
        raise LangDGError(f"output_stride {output_stride} must be one of {_OUTPUT_STRIDES}")
    if pattern not in get_args(DilationPattern):
        raise LangDGError(
            f"dilation pattern '{pattern}' must be one of {get_args(DilationPattern)}"
        )
    lost_before = 1
    for layer_name, stride in zip(BLOCK_LAYERS, STRIDES[1:], strict=True):
        lost = max(1, stride // output_stride)
        if lost > 1:
            blocks: list[Bottleneck] = list(getattr(tower, layer_name))
            _remove_stride(blocks[0])
            rates = _dilations(len(blocks), lost_before, lost, pattern)
            for block, rate in zip(blocks, rates, strict=True):
                block.conv2.dilation = block.conv2.padding = (rate, rate)
        lost_before = lost


def _dilations(blocks: int, lost_before: int, lost: int, pattern: DilationPattern) -> list[int]:
    if pattern == "famix":
        return [1, *[lost_before] * (blocks - 2), lost]
    return [lost_before, *[lost] * (blocks - 1)]


def _remove_stride(block: Bottleneck) -> None:
    block.avgpool = nn.Identity()
    if block.downsample is not None:
        block.downsample[0] = nn.Identity()
    block.stride = 1
