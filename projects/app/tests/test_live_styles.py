"""Styles mined on one image are those of the recipe, and so is what they change."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from live_styles import LiveStyles, Restyled

from langdg_d2.engine import apply_overrides
from langdg_d2.evaluation import build_inference
from langdg_d2.modeling import EmbeddingClip, load_embedding_clip
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import StyleMiner
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Predictor

CONFIG = str(Path(__file__).parents[3] / "configs/langdg_gta5.py")
STEPS = 6


@pytest.fixture(scope="module")
def restyled(
    live_styles: LiveStyles, predictor: Predictor, scene: Callable[..., np.ndarray]
) -> Restyled:
    return live_styles(scene(), predictor.model, prompt=" foggy night ", steps=STEPS)


def test_before_is_what_the_predictor_says(
    restyled: Restyled, predictor: Predictor, scene: Callable[..., np.ndarray]
) -> None:
    expected = predictor(scene())
    np.testing.assert_array_equal(restyled.before.classes, expected.classes)
    np.testing.assert_allclose(restyled.before.confidence, expected.confidence, atol=1e-5)


def test_the_bank_is_what_the_configs_miner_mines_for_this_text(
    restyled: Restyled, overrides: list[str], scene: Callable[..., np.ndarray]
) -> None:
    cfg = apply_overrides(LazyConfig.load(CONFIG), overrides).styles.mining.miner
    cfg.prompts.style_prompts = ["foggy night"]
    cfg.pin.steps = STEPS
    miner: StyleMiner = instantiate(cfg)
    expected = miner.mine(
        torch.from_numpy(scene()).permute(2, 0, 1)[None],
        torch.from_numpy(restyled.before.classes)[None],
        header=miner.header(source="x", seed=0, settings={}),
        generator=torch.Generator(),
    )
    bank = restyled.bank
    names = [CITYSCAPES_19.names[k] for k in bank.class_id.tolist()]
    assert list(bank.prompts) == [f"foggy night {name}" for name in names]
    assert bank.class_id.tolist() == expected.class_id.tolist()
    torch.testing.assert_close(bank.mean, expected.mean)
    torch.testing.assert_close(bank.std, expected.std)
    assert (bank.cosine_after > bank.cosine_before).all()


def test_after_is_predicted_from_patches_in_the_style_of_their_class(
    restyled: Restyled,
    predictor: Predictor,
    scene: Callable[..., np.ndarray],
    reference: ModuleType,
) -> None:
    bank = restyled.bank
    labels = torch.from_numpy(restyled.before.classes)
    styles = {
        k: (bank.mean[row].tolist(), bank.std[row].tolist())
        for row, k in enumerate(bank.class_id.tolist())
    }
    places = reference.cells(*labels.shape, 3, 3)
    drawn = [styles[reference.majority_class(labels[y, x])] for y, x in places]
    model = predictor.model
    with torch.no_grad():
        image = torch.from_numpy(scene()).permute(2, 0, 1)
        low = model.backbone.forward_low(model.normalize(image)[None])
        channels = low["res2"].shape[1]
        mixed = reference.mixed_image(low["res2"][0], 3, 3, drawn, [0.0] * channels)
        low["res2"] = mixed.float()[None]
        logits = model.sem_seg_head(model.backbone.forward_high(low))
        logits = torch.nn.functional.interpolate(logits, labels.shape, mode="bilinear")
    probabilities = logits[0].softmax(dim=0)
    np.testing.assert_allclose(restyled.after.confidence, probabilities.amax(0), atol=1e-4)
    differing = restyled.after.classes != probabilities.argmax(0).numpy()
    assert differing.mean() < 0.01


def test_keeping_all_of_the_own_style_changes_nothing(
    live_styles: LiveStyles, predictor: Predictor, scene: Callable[..., np.ndarray]
) -> None:
    kept = live_styles(scene(), predictor.model, prompt="noir", steps=1, own_share=1.0)
    np.testing.assert_allclose(kept.after.confidence, kept.before.confidence, atol=1e-4)
    assert (kept.after.classes != kept.before.classes).mean() < 0.01


def test_without_class_names_every_patch_is_mined_for_the_style_alone(
    live_styles: LiveStyles, predictor: Predictor, scene: Callable[..., np.ndarray]
) -> None:
    result = live_styles(
        scene(), predictor.model, prompt="{class_name} noir", steps=0, name_classes=False
    )
    assert set(result.bank.prompts) == {"{class_name} noir"}
    torch.testing.assert_close(result.bank.cosine_before, result.bank.cosine_after)


def test_clip_and_template_come_from_the_config(
    overrides: list[str],
    predictor: Predictor,
    scene: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []

    def own_clip(**options: str) -> EmbeddingClip:
        loaded.append(options["name"])
        return load_embedding_clip(**options)

    monkeypatch.setattr("langdg_d2.modeling.own_clip", own_clip, raising=False)
    cfg = LazyConfig.load(CONFIG)
    cfg.styles.mining.miner.prompts.template = "{style} another {class_name}"
    cfg.styles.mining.miner.clip._target_ = "langdg_d2.modeling.own_clip"
    monkeypatch.setattr(LazyConfig, "load", lambda *_: cfg)
    styles = LiveStyles(CONFIG, overrides)
    assert len(loaded) == 1
    texts = styles(scene(), predictor.model, prompt="noir", steps=0).bank.prompts
    assert all(text.startswith("noir another ") for text in texts)


def test_a_template_without_style_is_refused_unless_the_style_stands_alone(
    overrides: list[str], predictor: Predictor, scene: Callable[..., np.ndarray]
) -> None:
    template = "styles.mining.miner.prompts.template='{class_name}'"
    styles = LiveStyles(CONFIG, [*overrides, template])
    with pytest.raises(LangDGError, match=r"template '\{class_name\}' has no '\{style\}'"):
        styles(scene(), predictor.model, prompt="noir", steps=0)
    alone = styles(scene(), predictor.model, prompt="noir", steps=0, name_classes=False)
    assert set(alone.bank.prompts) == {"noir"}


def test_inference_variants_are_looked_through(
    live_styles: LiveStyles,
    predictor: Predictor,
    restyled: Restyled,
    scene: Callable[..., np.ndarray],
) -> None:
    wrapped = build_inference(predictor.model, scales=(1.0, 0.5), window=(48, 48))
    result = live_styles(scene(), wrapped, prompt="foggy night", steps=STEPS)
    np.testing.assert_array_equal(result.after.classes, restyled.after.classes)
    with pytest.raises(LangDGError, match="a Linear has no features to restyle"):
        live_styles(scene(), torch.nn.Linear(1, 1), prompt="foggy night", steps=STEPS)


def test_a_model_with_other_low_level_features_is_refused(
    live_styles: LiveStyles, overrides: list[str], scene: Callable[..., np.ndarray]
) -> None:
    model = instantiate(apply_overrides(LazyConfig.load(CONFIG), overrides).model).eval()
    with torch.no_grad():
        model.backbone.tower.conv1.weight += 1
    with pytest.raises(LangDGError, match="up to 'layer1' are not those of the CLIP"):
        live_styles(scene(), model, prompt="foggy night", steps=0)


@pytest.mark.parametrize(
    ("prompt", "says"), [("  ", "the style prompt is empty"), ("fog " * 90, "longer")]
)
def test_a_prompt_that_is_none_is_an_error(
    live_styles: LiveStyles,
    predictor: Predictor,
    scene: Callable[..., np.ndarray],
    prompt: str,
    says: str,
) -> None:
    with pytest.raises(LangDGError, match=says):
        live_styles(scene(), predictor.model, prompt=prompt, steps=1)
