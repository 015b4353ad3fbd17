"""PIN's optimisation against float64 loops."""

import copy

import pytest
import torch

from langdg_d2.modeling import ClipResNet, load_clip
from langdg_d2.styles import PinSettings, PromptDrivenNormalization
from langdg_d2.styles.pin import average_pool_by_products
from langdg_d2.utils.errors import LangDGError

NO_GPU = not torch.cuda.is_available()
PAPER = {"steps": 100, "lr": 1.0, "momentum": 0.9, "weight_decay": 1e-4}


@pytest.fixture
def backbone(tiny_tower):
    return ClipResNet(
        tower=tiny_tower.requires_grad_(False),
        output_stride=32,
        trainable=(),
        attention_pool=True,
    ).eval()


@pytest.fixture
def problem():
    """Two patches of 20 x 22 and two texts."""
    generator = torch.Generator().manual_seed(3)
    patches = (torch.randn(2, 16, 20, 22, generator=generator) + 0.5).relu()  # a third is zero
    text = torch.nn.functional.normalize(torch.randn(2, 16, generator=generator), dim=1)
    return patches, text


def slow(reference, backbone, patches, text, settings):
    double = copy.deepcopy(backbone).double()

    def embed(x):
        return double.embed(double.forward_high({"res2": x})["res5"])

    return [
        reference.mined_style(p, t.double(), embed, 16, len(patches), **settings)
        for p, t in zip(patches, text, strict=True)
    ]


def test_defaults_are_the_papers_settings():
    assert vars(PinSettings()) == PAPER | {"precision": "float32"}


def test_banks_remember_another_precision_than_the_papers():
    assert PinSettings().as_dict() == PAPER
    changed = {"precision": "bfloat16"}
    assert PinSettings(**changed).as_dict() == PAPER | changed


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": -1},
        {"lr": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"precision": "float16"},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    (name,) = setting
    with pytest.raises(
        LangDGError, match=rf"{name}(={setting[name]!r}.*must| is {setting[name]!r})"
    ):
        PinSettings(**setting)


def test_hundred_steps_follow_the_reference(reference, backbone, problem):
    patches, text = problem
    double = copy.deepcopy(backbone).double()

    def mine(steps):
        pin = PromptDrivenNormalization(backbone=double, settings=PinSettings(steps=steps))
        return pin(patches.double(), text.double())

    expected = slow(reference, backbone, patches, text, PAPER)
    losses = torch.tensor([e[2] for e in expected], dtype=torch.float64)  # (P, steps)
    for steps in (1, 10, 40, 99):
        found = mine(steps)
        assert torch.allclose(1 - found.cosine_before, losses[:, 0], rtol=1e-5)
        assert torch.allclose(1 - found.cosine_after, losses[:, steps], rtol=1e-5)
    found = mine(100)
    for k, (mean, std, _) in enumerate(expected):
        assert torch.allclose(found.stats.mean[k].flatten(), mean, rtol=1e-5, atol=1e-8)
        assert torch.allclose(found.stats.std[k].flatten(), std, rtol=1e-5, atol=1e-8)


def test_float32_agrees_with_the_reference(reference, backbone, problem):
    patches, text = problem
    settings = PAPER | {"steps": 10}
    found = PromptDrivenNormalization(backbone=backbone, settings=PinSettings(**settings))(
        patches, text
    )
    expected = slow(reference, backbone, patches, text, settings | {"steps": 11})
    losses = torch.tensor([e[2] for e in expected])
    assert torch.allclose(1 - found.cosine_before, losses[:, 0], rtol=1e-5)
    assert torch.allclose(1 - found.cosine_after, losses[:, 10], rtol=1e-5)
    expected = slow(reference, backbone, patches, text, settings)
    mean = torch.stack([e[0] for e in expected])
    assert (found.stats.mean.flatten(1).double() - mean).norm() / mean.norm() < 1e-5


def test_every_patch_comes_closer_to_its_text(backbone, problem):
    patches, text = problem
    pin = PromptDrivenNormalization(backbone=backbone, settings=PinSettings(steps=30))
    result = pin(patches, text)
    assert (result.cosine_after > result.cosine_before).all()


def test_nothing_but_the_statistics_changes(backbone, problem):
    patches, text = problem
    before = copy.deepcopy(backbone.state_dict())
    kept = patches.clone()
    PromptDrivenNormalization(backbone=backbone, settings=PinSettings(steps=3))(patches, text)
    assert torch.equal(patches, kept)
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    assert all(p.grad is None for p in backbone.parameters())


def test_without_steps_the_patches_keep_their_own_style(backbone, problem):
    patches, text = problem
    result = PromptDrivenNormalization(backbone=backbone, settings=PinSettings(steps=0))(
        patches, text
    )
    assert torch.allclose(result.stats.mean.flatten(1), patches.mean((2, 3)), atol=1e-6)
    assert torch.equal(result.cosine_before, result.cosine_after)


@pytest.mark.parametrize(("layer", "side"), [("stem", 16), ("layer1", 16), ("layer2", 8)])
def test_patches_are_pooled_to_the_size_of_clips_input_in_their_layer(tiny_clip, layer, side):
    clip = load_clip(name=tiny_clip, weights=None)
    backbone = ClipResNet(
        tower=clip.visual,
        output_stride=32,
        trainable=(),
        restyled_layer=layer,
        attention_pool=True,
    ).eval()
    images = torch.rand(1, 3, 64, 64)  # CLIP's input size here
    features = backbone.forward_low(images)[backbone.restyled]
    assert features.shape[-1] == side
    pin = PromptDrivenNormalization(backbone=backbone, settings=PinSettings(steps=0))
    text = torch.nn.functional.normalize(torch.rand(1, 16), dim=1)
    expected = torch.nn.functional.cosine_similarity(text, clip.encode_image(images))
    assert torch.allclose(pin(features, text).cosine_before, expected, atol=1e-5)


@pytest.mark.parametrize(("size", "side"), [((64, 64), 56), ((20, 22), 16), ((3, 5), 16)])
def test_pooling_by_products_is_torchs_with_gradients(size, side):
    features = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.adaptive_avg_pool2d(features, side)
    weight = torch.rand_like(expected)
    (gradient,) = torch.autograd.grad((expected * weight).sum(), features)
    found = average_pool_by_products(features, side)
    (again,) = torch.autograd.grad((found * weight).sum(), features)
    assert torch.allclose(found, expected, rtol=1e-14)
    assert torch.allclose(again, gradient, rtol=1e-13)
    with torch.autocast("cpu", torch.bfloat16):
        single = average_pool_by_products(features.float(), side)
    assert torch.allclose(single.double(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(NO_GPU, reason="needs a GPU"))]
)
def test_deterministic_mining_gives_the_same_bits(backbone, problem, device):
    patches, text = (tensor.to(device) for tensor in problem)
    pin = PromptDrivenNormalization(backbone=backbone.to(device), settings=PinSettings(steps=3))
    plain = pin(patches, text)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = pin(patches, text), pin(patches, text)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first.stats.mean, second.stats.mean)
    if device == "cpu":  # where it changes nothing
        assert torch.equal(first.stats.mean, plain.stats.mean)


def test_bfloat16_reaches_similar_cosines(backbone, problem):
    single, half = (
        PromptDrivenNormalization(
            backbone=backbone, settings=PinSettings(steps=40, precision=precision)
        )(*problem)
        for precision in ("float32", "bfloat16")
    )
    assert half.stats.mean.dtype == half.cosine_after.dtype == torch.float32
    assert not torch.equal(half.stats.mean, single.stats.mean)
    rise = single.cosine_after - single.cosine_before
    torch.testing.assert_close(half.cosine_after, single.cosine_after, rtol=0, atol=0.1)
    assert ((half.cosine_after - half.cosine_before) > 0.8 * rise).all()
