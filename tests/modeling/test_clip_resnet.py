"""The backbone's steps, its declared shapes, and that frozen means frozen."""

import copy

import pytest
import torch
from torch import nn

from langdg_d2.modeling import ClipResNet, load_clip
from langdg_d2.modeling.backbone.freezing import freeze
from langdg_d2.utils.errors import LangDGError


@pytest.fixture
def backbone(tiny_tower):
    return ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))


def test_steps_compose_to_the_forward_pass_and_hand_the_low_features_on(backbone):
    images = torch.rand(2, 3, 64, 96)
    low = backbone.forward_low(images)
    features = backbone.forward_high(low)
    assert features["res2"] is low["res2"]
    for name, value in backbone(images).items():
        assert torch.equal(value, features[name])


def test_high_features_come_from_the_low_features_given(backbone):
    low = torch.rand(1, 16, 16, 16)
    expected = backbone.tower.layer4(backbone.tower.layer3(backbone.tower.layer2(low)))
    assert torch.equal(backbone.forward_high({"res2": low})["res5"], expected)


@pytest.mark.parametrize(
    ("layer", "restyled"),
    [("stem", "stem"), ("layer1", "res2"), ("layer2", "res3"), ("layer3", "res4")],
)
def test_any_layer_but_the_last_can_be_the_restyled_one(tiny_tower, layer, restyled):
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=(), restyled_layer=layer)
    assert backbone.restyled == restyled
    images = torch.rand(1, 3, 64, 64)
    plain = ClipResNet(tower=tiny_tower, output_stride=16, trainable=())(images)
    low = backbone.forward_low(images)
    for name in ("res2", "res5"):
        assert torch.equal(backbone.forward_high(low)[name], plain[name])
    low[restyled] = 2 * low[restyled]
    assert not torch.allclose(backbone.forward_high(low)["res5"], plain["res5"])
    # The head's low-level features change only if they come after the restyled ones.
    low_changes = not torch.equal(backbone.forward_high(low)["res2"], plain["res2"])
    assert low_changes == (restyled in ("stem", "res2"))


def test_last_layer_cannot_be_restyled(tiny_tower):
    with pytest.raises(LangDGError, match="restyled_layer 'layer4' must be one of"):
        ClipResNet(tower=tiny_tower, output_stride=16, trainable=(), restyled_layer="layer4")


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_declared_channels_and_strides_are_those_of_the_features(tiny_tower, stride):
    backbone = ClipResNet(tower=tiny_tower, output_stride=stride, trainable=())
    features = backbone(torch.rand(1, 3, 64, 128))
    assert (
        list(features)
        == list(backbone.output_shape())
        == ["stem", *(f"res{k}" for k in range(2, 6))]
    )
    for name, shape in backbone.output_shape().items():
        size = (64 // shape.stride, 128 // shape.stride)
        assert features[name].shape == (1, shape.channels, *size)


def test_embedding_is_clips_own(tiny_clip):
    clip = load_clip(name=tiny_clip, weights=None)
    images = torch.rand(2, 3, 64, 64)
    expected = clip.encode_image(images)
    backbone = ClipResNet(
        tower=clip.visual, output_stride=32, trainable=(), attention_pool=True
    ).eval()
    torch.testing.assert_close(backbone.embed(backbone(images)["res5"]), expected)


def test_without_attention_pooling_its_parameters_are_gone(backbone):
    assert not any("attnpool" in name for name in backbone.state_dict())


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (("layer4.2",), {"layer4.2"}),
        (("layer4.-1", "layer1.-1", "layer3.-2"), {"layer4.2", "layer1.0", "layer3.0"}),
        (("layer4",), {"layer4.0", "layer4.1", "layer4.2"}),
        (("stem", "layer2.1"), {"stem", "layer2.1"}),
        ((), set()),
    ],
)
def test_exactly_the_chosen_groups_get_gradients(tiny_tower, trainable, expected):
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=trainable)
    backbone.train()
    loss = backbone(torch.rand(2, 3, 64, 64))["res5"].square().mean()
    if loss.requires_grad:
        loss.backward()
    groups = backbone.layer_groups()
    moved = {
        name
        for name, modules in groups.items()
        for module in modules
        if any(
            p.grad is not None and 0 < p.grad.abs().sum() < torch.inf for p in module.parameters()
        )
    }
    assert moved == expected


def test_groups_partition_the_towers_parameters(tiny_tower):
    backbone = ClipResNet(tower=tiny_tower, output_stride=32, trainable=(), attention_pool=True)
    grouped = [
        id(parameter)
        for modules in backbone.layer_groups().values()
        for module in modules
        for parameter in module.parameters()
    ]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for parameter in backbone.parameters()}


def test_frozen_batch_norm_never_changes_whatever_calls_train(backbone):
    frozen = {
        name: norm
        for name, norm in backbone.named_modules()
        if isinstance(norm, nn.BatchNorm2d) and "layer4.2" not in name
    }
    before = {name: norm.running_mean.clone() for name, norm in frozen.items()}
    trained = backbone.tower.layer4[2].bn1.running_mean.clone()
    for _ in range(5):
        nn.Sequential(backbone).eval()
        nn.Sequential(backbone).train()  # as a trainer does, from outside
        backbone(torch.rand(2, 3, 64, 64))
    assert not any(norm.training for norm in frozen.values())
    assert all(torch.equal(norm.running_mean, before[name]) for name, norm in frozen.items())
    assert not torch.equal(backbone.tower.layer4[2].bn1.running_mean, trained)


def test_copies_freeze_their_own_layers(backbone):
    twin = copy.deepcopy(backbone).train()
    assert not twin.tower.bn1.training
    assert twin.tower.layer4[2].bn1.training


def test_unknown_group_lists_those_there_are(tiny_tower):
    for wrong in ("layer4.9", "layer4.-4", "layer4.-0", "stem.-1", "layer5"):
        with pytest.raises(LangDGError, match=rf"\['{wrong}'\] do not exist .*'stem', 'layer1.0'"):
            ClipResNet(tower=tiny_tower, output_stride=16, trainable=(wrong, "stem"))


def test_groups_need_not_be_blocks():
    groups = {"stem": [nn.Linear(1, 1)], "trunk.body": [nn.Linear(1, 1)]}
    assert freeze(groups, trainable=["trunk.body"]) == groups["stem"]
    with pytest.raises(LangDGError, match=r"there are \['stem', 'trunk.body'\]$"):
        freeze(groups, trainable=["body"])


def test_embedding_needs_the_attention_pooling(backbone):
    with pytest.raises(LangDGError, match="build it with attention_pool"):
        _ = backbone.embedding_side
