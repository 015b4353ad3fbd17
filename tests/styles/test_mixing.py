"""Training's restyling against the equations, its randomness, and what it counts."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from langdg_d2.modeling import ClipResNet, load_clip, load_image_tower
from langdg_d2.structures import ChannelStats, PatchGrid, patch_stats, restyle
from langdg_d2.styles import (
    BankHeader,
    BankStyles,
    BetaWeights,
    ConstantWeights,
    NoiseStyles,
    PatchStyleMixer,
    PooledBankStyles,
    StyleBank,
    StyleBankError,
)
from langdg_d2.styles.bank import feature_fingerprint
from langdg_d2.utils.errors import LangDGError

CHANNELS, CLASSES, GRID = 16, ("road", "car", "sky"), PatchGrid(2, 3)
EXPECTED = {"grid": GRID, "class_names": CLASSES, "ignore_label": 255}


@pytest.fixture
def backbone(tiny_tower):
    return ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))


def make_bank(backbone, classes=(0, 0, 1, 255), **changes):
    generator = torch.Generator().manual_seed(0)
    header = {
        "clip_name": "tiny",
        "clip_fingerprint": feature_fingerprint(backbone),
        "layer": "layer1",
        "channels": CHANNELS,
        "grid": (2, 3),
        "class_names": CLASSES,
        "ignore_label": 255,
        "source": "test",
        "seed": 0,
    }
    return StyleBank(
        header=BankHeader(**header | changes),
        mean=torch.rand(len(classes), CHANNELS, generator=generator),
        std=torch.rand(len(classes), CHANNELS, generator=generator),
        class_id=torch.tensor(classes, dtype=torch.uint8),
        prompts=["p"] * len(classes),
        cosine_before=torch.zeros(len(classes)),
        cosine_after=torch.ones(len(classes)),
    )


@pytest.fixture
def batch():
    features = (torch.randn(4, CHANNELS, 10, 12) + 0.3).relu()
    classes = torch.randint(0, 3, (4, 2, 3), dtype=torch.uint8)
    classes[0, 0, 0] = 255
    return features, classes


def mixer(backbone, styles, weights=None, seed=0, probability=1.0):
    styles.prepare(backbone)
    weights = weights or BetaWeights(a=0.1, b=0.1)
    mixing = PatchStyleMixer(grid=GRID, styles=styles, weights=weights)
    mixing.probability = probability
    mixing.generator.manual_seed(seed)
    return mixing


def nearest_rows(stats: ChannelStats, bank: StyleBank) -> torch.Tensor:
    """(N, rows, cols) row of the bank that each patch's statistics equal."""
    flat = stats.mean.permute(0, 2, 3, 1).reshape(-1, CHANNELS)
    distance = torch.cdist(flat, bank.mean, compute_mode="donot_use_mm_for_euclid_dist")
    assert distance.min(1).values.max() < 1e-6
    return distance.argmin(1).view(stats.mean.shape[0], *stats.mean.shape[2:])


def test_batch_is_restyled_as_the_equations_say(reference, backbone, batch):
    features, classes = batch
    bank = make_bank(backbone)
    mixing = mixer(backbone, BankStyles(bank=bank, **EXPECTED), seed=5)
    drawn, weights = {}, {}
    draw, sample = mixing.styles.draw, mixing._weights

    def keep_draw(*args, **kwargs):
        drawn["styles"] = draw(*args, **kwargs)
        return drawn["styles"]

    def keep_weights(*args):
        weights["alpha"] = sample(*args)
        return weights["alpha"]

    mixing.styles.draw, mixing._weights = keep_draw, keep_weights
    found = mixing(features, classes)
    stats = drawn["styles"][0]
    for n, image in enumerate(features):
        styles = [
            (stats.mean.flatten(2)[n, :, k].tolist(), stats.std.flatten(2)[n, :, k].tolist())
            for k in range(6)
        ]
        alpha = weights["alpha"][n].flatten().tolist()
        expected = reference.mixed_image(image, 2, 3, styles, alpha)
        error = (found[n].double() - expected).norm() / expected.norm()
        assert error < 1e-5


@pytest.mark.parametrize(
    ("features_type", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)]
)
@pytest.mark.parametrize("size", [(10, 12), (11, 13)], ids=["even cells", "uneven cells"])
def test_mixed_precision_restyles_as_single_precision_does(
    backbone, batch, features_type, tolerance, size
):
    classes = batch[1]
    # The sum over a patch has more digits than bfloat16 holds.
    features = (torch.randn(4, CHANNELS, *size) + 20).relu().to(features_type)
    styles = BankStyles(bank=make_bank(backbone), **EXPECTED)
    expected = mixer(backbone, styles, seed=2)(features.float(), classes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mixer(backbone, styles, seed=2)(features, classes)
    assert found.dtype == features_type
    assert torch.allclose(found.float(), expected, rtol=tolerance, atol=1e-4)


def test_patches_get_styles_of_their_class(backbone, batch):
    features, classes = batch
    bank = make_bank(backbone)
    source = BankStyles(bank=bank, **EXPECTED)
    source.prepare(backbone)
    target, fallback = source.draw(
        patch_stats(features, GRID), classes, generator=torch.Generator().manual_seed(0)
    )
    rows = nearest_rows(target, bank)
    label = bank.class_id[rows]
    lacking = classes == 2  # no style was mined for the sky
    assert (label[lacking] == 255).all()
    assert torch.equal(label[~lacking], classes[~lacking])
    assert torch.equal(fallback, lacking)


def test_pooled_styles_come_from_any_class(backbone):
    bank = make_bank(backbone)
    source = PooledBankStyles(bank=bank, **EXPECTED)
    source.prepare(backbone)
    classes = torch.zeros(200, 2, 3, dtype=torch.uint8)
    own = ChannelStats(*(torch.zeros(200, CHANNELS, 2, 3) for _ in range(2)))
    target, _ = source.draw(own, classes, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(nearest_rows(target, bank).flatten(), minlength=4)
    assert counts.min() > 1200 / 4 * 0.8


def test_noise_has_the_wanted_signal_to_noise_ratio():
    own = ChannelStats(torch.rand(50, 64, 2, 3) + 1, torch.rand(50, 64, 2, 3) + 2)
    classes = torch.zeros(50, 2, 3, dtype=torch.uint8)
    styles, generator = NoiseStyles(snr_db=20.0), torch.Generator().manual_seed(0)
    target, _ = styles.draw(own, classes, generator=generator)
    for signal, noisy in zip(own, target, strict=True):
        ratio = signal.square().sum() / (noisy - signal).square().sum()
        assert 10 * ratio.log10().item() == pytest.approx(20.0, abs=0.2)


def test_weights_are_beta_distributed_one_for_each_image_and_channel():
    weights = BetaWeights(a=0.1, b=0.1)(200, 100, torch.Generator().manual_seed(0))
    assert weights.shape == (200, 100, 1, 1)
    values = weights.flatten().double().numpy()
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(0.25 / 1.2, rel=0.02)  # ab / ((a+b)^2 (a+b+1))
    assert np.mean(values < 1e-3) == pytest.approx(np.mean(values > 1 - 1e-3), abs=0.02)


def test_weight_one_keeps_and_zero_replaces_styles(backbone, batch):
    features, classes = batch
    bank = make_bank(backbone)
    same = mixer(backbone, BankStyles(bank=bank, **EXPECTED), ConstantWeights(value=1))
    assert torch.allclose(same(features, classes), features, atol=1e-6)
    replaced = mixer(backbone, BankStyles(bank=bank, **EXPECTED), ConstantWeights(value=0))
    drawn = []
    draw = replaced.styles.draw
    replaced.styles.draw = lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1]
    found = replaced(features, classes)
    own = patch_stats(features, GRID)
    assert torch.allclose(
        found, restyle(features, own=own, target=drawn[0][0], grid=GRID), atol=1e-6
    )
    assert not torch.allclose(found, features, atol=1e-2)


def test_the_last_batch_is_kept_with_its_statistics_alone(backbone, batch):
    features, classes = batch
    styles = BankStyles(bank=make_bank(backbone), **EXPECTED)
    mixing = mixer(backbone, styles, ConstantWeights(value=0))
    assert mixing.last is None
    mixing(features.requires_grad_(), classes)
    own, mixed, patch_classes = mixing.last
    assert torch.equal(own.mean, patch_stats(features, GRID).mean)
    assert set(nearest_rows(mixed, styles.bank).flatten().tolist()) <= set(range(4))
    assert patch_classes is classes
    assert not any(part.requires_grad for part in (*own, *mixed))


def test_probability_chooses_images_and_the_others_stay(backbone, batch):
    features, classes = batch
    mixing = mixer(
        backbone, BankStyles(bank=make_bank(backbone), **EXPECTED), probability=0.5, seed=1
    )
    unchanged, shares = 0, []
    for _ in range(50):
        out = mixing(features, classes)
        shares.append(mixing.shares)
        unchanged += sum(
            torch.allclose(o, f, atol=1e-6) for o, f in zip(out, features, strict=True)
        )
    assert 0.35 < unchanged / 200 < 0.65
    means = {name: float(sum(x[name] for x in shares)) / 50 for name in mixing.shares}
    assert means == {
        "restyled_share": pytest.approx(1 - unchanged / 200),
        "mean_weight": pytest.approx(0.75, abs=0.05),
        "fallback_share": pytest.approx(float((classes == 2).float().mean())),
    }


def test_restyling_follows_the_generator_alone(backbone, batch):
    features, classes = batch
    bank = make_bank(backbone)

    def first(seed):
        torch.manual_seed(torch.seed())
        mixing = mixer(backbone, BankStyles(bank=bank, **EXPECTED), seed=seed)
        return mixing(features, classes)

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


def test_missing_patch_classes_or_those_of_another_grid_are_refused(backbone, batch):
    features, _ = batch
    mixing = mixer(backbone, BankStyles(bank=make_bank(backbone), **EXPECTED))
    with pytest.raises(LangDGError, match=r"patch classes are None, expected \(4, 2, 3\)"):
        mixing(features, None)
    with pytest.raises(LangDGError, match=r"patch classes are \(4, 3, 3\), expected \(4, 2, 3\)"):
        mixing(features, torch.zeros(4, 3, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"layer": "layer2"}, "layer: the bank has 'layer2', the model 'layer1'"),
        ({"clip_fingerprint": "another"}, "clip_fingerprint: the bank has 'another'"),
        ({"grid": (3, 3)}, r"grid: the bank has \(3, 3\), the model \(2, 3\)"),
        ({"class_names": ("car", "road", "sky")}, "class_names: the bank has"),
    ],
)
def test_bank_of_another_model_is_refused(backbone, changes, difference):
    with pytest.raises(StyleBankError, match=difference):
        BankStyles(bank=make_bank(backbone, **changes), **EXPECTED).prepare(backbone)


def write_clip(tiny_clip, path, seed, part):
    """Weights of which those whose names begin with a part are drawn anew."""
    clip = load_clip(name=tiny_clip, weights=None)
    torch.manual_seed(seed)
    state = {
        name: torch.rand_like(value)
        if name.startswith(part) and value.is_floating_point()
        else value
        for name, value in clip.state_dict().items()
    }
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return str(path)


@pytest.mark.parametrize("part", ["transformer.", "visual.layer4.", "visual.attnpool."])
def test_bank_of_a_clip_with_other_embeddings_is_refused(tiny_clip, tmp_path, part):
    def backbone(seed):
        weights = write_clip(tiny_clip, tmp_path / f"{seed}.safetensors", seed, part)
        tower = load_image_tower(name=tiny_clip, weights=weights)
        return ClipResNet(tower=tower, output_stride=16, trainable=("layer4",))

    own, other = backbone(1), backbone(2)
    fingerprint = own.tower.whole_clip_fingerprint
    bank = make_bank(own, whole_clip_fingerprint=fingerprint)
    BankStyles(bank=bank, **EXPECTED).prepare(own)
    with pytest.raises(
        StyleBankError, match=f"whole_clip_fingerprint: the bank has '{fingerprint}"
    ):
        BankStyles(bank=bank, **EXPECTED).prepare(other)


def test_clips_that_are_unknown_are_not_compared(tiny_clip, tmp_path):
    weights = write_clip(tiny_clip, tmp_path / "w.safetensors", 1, "ln_final.")
    tower = load_image_tower(name=tiny_clip, weights=weights)
    known = ClipResNet(tower=tower, output_stride=16, trainable=())
    BankStyles(bank=make_bank(known), **EXPECTED).prepare(known)
    tower = load_image_tower(name=tiny_clip, weights=None)  # as where a checkpoint is loaded
    unknown = ClipResNet(tower=tower, output_stride=16, trainable=())
    bank = make_bank(unknown, whole_clip_fingerprint="another")
    BankStyles(bank=bank, **EXPECTED).prepare(unknown)


def test_weights_that_training_has_changed_are_not_compared(tiny_tower):
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer1",))
    bank = make_bank(backbone, clip_fingerprint="before training")
    BankStyles(bank=bank, **EXPECTED).prepare(backbone)
    assert feature_fingerprint(backbone) != "before training"


def test_parameters_out_of_range_are_refused():
    with pytest.raises(LangDGError, match=r"Beta\(0, 0\.1\) must be positive"):
        BetaWeights(a=0, b=0.1)
    with pytest.raises(LangDGError, match=r"weight 1\.5 must be in 0\.\.1"):
        ConstantWeights(value=1.5)
