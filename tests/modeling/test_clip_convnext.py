"""ConvNeXt CLIPs compute what open_clip and timm compute, cut in two and frozen by blocks."""

import open_clip
import pytest
import timm
import torch
from torch import nn

from langdg_d2.modeling import ClipConvNeXt, ClipResNet, load_clip
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import ConstantWeights, NoiseStyles, PatchStyleMixer
from langdg_d2.styles.pin import PinSettings, PromptDrivenNormalization
from langdg_d2.utils.errors import LangDGError

TAGS = {
    "convnext_base_w": "laion2b_s13b_b82k_augreg",
    "convnext_base_w_320": "laion_aesthetic_s13b_b82k_augreg",
    "convnext_large_d_320": "laion2b_s29b_b131k_ft_soup",
    "convnext_xxlarge": "laion2b_s34b_b82k_augreg_soup",
    "RN50x4-quickgelu": "openai",
    "RN50x16-quickgelu": "openai",
    "RN50x64-quickgelu": "openai",
}


@pytest.fixture
def clip(tiny_convnext_clip) -> nn.Module:
    """A ConvNeXt CLIP whose branches count as much as their shortcuts."""
    clip = load_clip(name=tiny_convnext_clip, weights=None)
    for name, parameter in clip.visual.named_parameters():
        if name.endswith("gamma"):  # timm starts them near zero
            nn.init.ones_(parameter)
    return clip


@pytest.mark.parametrize(("name", "tag"), TAGS.items())
def test_named_towers_and_weights_exist(name, tag):
    assert tag in open_clip.list_pretrained_tags_by_model(name)


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_features_and_embedding_are_those_of_the_libraries(clip, size):
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = clip.visual.trunk.forward_intermediates(images, intermediates_only=True)
        embedding = clip.encode_image(images)
        backbone = ClipConvNeXt(tower=clip.visual, trainable=()).eval()
        features = backbone(images)
        found = backbone.embed(features["res5"])
    for name, feature in zip(("res2", "res3", "res4", "res5"), expected, strict=True):
        assert torch.allclose(features[name], feature, atol=1e-5)
        shape = backbone.output_shape()[name]
        assert shape.channels == feature.shape[1]
        assert shape.stride == size[0] // feature.shape[2]
    assert torch.allclose(found, embedding, atol=1e-5)
    assert features["res2"].min() < 0  # no activation at the end of a stage


def test_stride_16_dilates_as_timm_does(clip):
    dilated = timm.create_model("test_convnext", num_classes=0, output_stride=16).eval()
    dilated.load_state_dict(clip.visual.trunk.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    backbone = ClipConvNeXt(tower=clip.visual, output_stride=16, trainable=()).eval()
    features = backbone(images)["res5"]
    assert features.shape[-2:] == (4, 6)
    assert backbone.output_shape()["res5"].stride == 16
    assert torch.allclose(features, dilated.forward_features(images), atol=1e-5)


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (("stages.3.-1",), {"stages.3.1"}),
        (("stages.3",), {"stages.3.0", "stages.3.1"}),
        (("stem", "stages.0.0"), {"stem", "stages.0.0"}),
        ((), set()),
    ],
)
def test_exactly_the_chosen_groups_get_gradients(clip, trainable, expected):
    backbone = ClipConvNeXt(tower=clip.visual, trainable=trainable).train()
    loss = backbone.embed(backbone(torch.rand(2, 3, 64, 64))["res5"]).square().mean()
    if loss.requires_grad:
        loss.backward()
    groups = backbone.layer_groups()
    parameters = {
        name: [p for m in modules for p in m.parameters()] for name, modules in groups.items()
    }
    moved = {name for name, group in parameters.items() if any(p.grad is not None for p in group)}
    assert moved == expected
    assert {id(p) for group in parameters.values() for p in group} == {
        id(p) for p in backbone.parameters()
    }


def test_a_restyled_patch_embeds_at_its_own_size(clip):
    backbone = ClipConvNeXt(tower=clip.visual, trainable=()).eval()
    settings = PinSettings(steps=5, lr=0.1)
    pin = PromptDrivenNormalization(backbone=backbone, settings=settings)
    patches = torch.randn(3, 24, 8, 16)
    text = nn.functional.normalize(torch.randn(3, 16), dim=1)
    result = pin(patches, text)
    own = nn.functional.cosine_similarity(
        text, backbone.embed(backbone.forward_high({"res2": patches})["res5"])
    )
    assert torch.allclose(result.cosine_before, own, atol=1e-5)
    assert (result.cosine_after > result.cosine_before).all()
    with pytest.raises(LangDGError, match="needs at least 8x8"):
        pin(patches[..., :7, :], text)


def test_a_prepared_mixer_ends_as_the_tower_does(clip):
    backbone = ClipConvNeXt(tower=clip.visual, trainable=())
    mixer = PatchStyleMixer(
        grid=PatchGrid(2, 2), styles=NoiseStyles(snr_db=5.0), weights=ConstantWeights(value=1.0)
    )
    mixer.prepare(backbone)
    features, classes = torch.randn(2, 24, 8, 8), torch.zeros(2, 2, 2, dtype=torch.uint8)
    assert torch.allclose(mixer(features, classes), features, atol=1e-5)


def test_towers_of_another_kind_are_refused_by_name(clip, tiny_tower):
    with pytest.raises(LangDGError, match="is a TimmModel, expected a ModifiedResNet"):
        ClipResNet(tower=clip.visual, output_stride=16, trainable=())
    with pytest.raises(LangDGError, match="is a ModifiedResNet, expected a ConvNeXt"):
        ClipConvNeXt(tower=tiny_tower, trainable=())
    with pytest.raises(LangDGError, match="output_stride 8 must be one of"):
        ClipConvNeXt(tower=clip.visual, output_stride=8, trainable=())
