"""Output stride of CLIP's ModifiedResNet, by dilation of its last layers."""

from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import nn

from ...utils.errors import LangDGError

BLOCK_LAYERS = ("layer1", "layer2", "layer3", "layer4")
STRIDES = (4, 8, 16, 32)  # of the layers' outputs in CLIP
_OUTPUT_STRIDES = (8, 16, 32)


def set_output_stride(tower: ModifiedResNet, *, output_stride: int) -> None:
    """Dilate the last layers of a freshly loaded tower in place.

    Layers beyond `output_stride` keep the resolution of their input: average pools, also in the
    shortcut, become identities, and 3x3 convolutions are dilated instead. The first block of a
    layer has dilation 1, the last block the total stride removed so far, and the blocks in between
    the stride removed before the layer.

    NOTE: this matches the official weights. DeepLabV3 (arXiv 1706.05587) dilates all blocks except
    the first; here, at stride 16, only the last block of the tower is dilated.

    Args:
        tower: CLIP's image tower at stride 32; weights are not changed.
        output_stride: stride of `layer4`'s output: 8, 16 or 32.
    """
    if output_stride not in _OUTPUT_STRIDES:
        raise LangDGError(f"output_stride {output_stride} must be one of {_OUTPUT_STRIDES}")
    removed_before = 1
    for layer, stride in zip(BLOCK_LAYERS, STRIDES, strict=True):
        removed = max(1, stride // output_stride)
        if removed > 1:
            blocks: list[Bottleneck] = list(getattr(tower, layer))
            blocks[0].stride = 1
            blocks[0].avgpool = nn.Identity()
            if blocks[0].downsample is not None:
                blocks[0].downsample[0] = nn.Identity()  # the shortcut's average pool
            rates = [1, *[removed_before] * (len(blocks) - 2), removed][-len(blocks) :]
            for block, rate in zip(blocks, rates, strict=True):
                block.conv2.dilation = block.conv2.padding = (rate, rate)
        removed_before = removed
