"""Which convolutions are dilated, layer by layer, and what stays the same."""

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet

from langdg_d2.modeling.backbone import set_output_stride
from langdg_d2.utils.errors import LangDGError


@pytest.fixture
def tower() -> ModifiedResNet:
    """RN50's number of blocks at a fraction of its width."""
    return ModifiedResNet(layers=[3, 4, 6, 3], output_dim=8, heads=2, image_size=64, width=4).eval()


def dilations(tower, layer):
    return [block.conv2.dilation[0] for block in getattr(tower, layer)]


def features(tower, images):
    x = tower.layer3(tower.layer2(tower.layer1(tower.stem(images))))
    return tower.layer4(x)


# Layer 4 at stride 16 is how the released FAMix weights were trained (RN50 and RN101).
EXPECTED = {
    32: ([1] * 6, [1, 1, 1]),
    16: ([1] * 6, [1, 1, 2]),
    8: ([1] * 5 + [2], [1, 2, 4]),
}


@pytest.mark.parametrize(("stride", "expected"), EXPECTED.items())
def test_dilations_and_sizes_follow_the_stride(tower, stride, expected):
    set_output_stride(tower, output_stride=stride)
    assert dilations(tower, "layer1") == [1] * 3
    assert dilations(tower, "layer2") == [1] * 4
    assert (dilations(tower, "layer3"), dilations(tower, "layer4")) == expected
    assert features(tower, torch.rand(1, 3, 64, 128)).shape[-2:] == (64 // stride, 128 // stride)


def test_weights_and_their_names_stay(tower):
    before = {k: v.clone() for k, v in tower.state_dict().items()}
    set_output_stride(tower, output_stride=8)
    after = tower.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], before[k]) for k in before)


def test_stride_32_computes_what_clip_computes(tower):
    images = torch.rand(2, 3, 64, 64)
    before = tower(images)
    set_output_stride(tower, output_stride=32)
    assert torch.equal(tower(images), before)


def test_other_strides_are_refused(tower):
    with pytest.raises(LangDGError, match=r"output_stride 4 must be one of \(8, 16, 32\)"):
        set_output_stride(tower, output_stride=4)


def test_layers_of_one_block_are_dilated():
    tower = ModifiedResNet(layers=(1, 1, 1, 1), output_dim=8, heads=1, image_size=64, width=4)
    set_output_stride(tower, output_stride=16)
    assert dilations(tower, "layer4") == [2]
