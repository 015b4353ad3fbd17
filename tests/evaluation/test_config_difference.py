"""What makes two runs' configurations differ, and what does not."""

from pathlib import Path
from typing import Any

import pytest
from detectron2.config import LazyConfig

from langdg_d2.engine import apply_overrides
from langdg_d2.evaluation import config_difference
from langdg_d2.utils.provenance import plain_data

CONFIG = Path(__file__).parents[2] / "configs/langdg_gta5.py"


def recorded(*overrides: str) -> Any:
    """A configuration as records hold it, references resolved."""
    return plain_data(apply_overrides(LazyConfig.load(str(CONFIG)), overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["train.seed=2", "styles.seed=3"],
        ["train.output_dir=elsewhere/seed2"],
        ["styles.bank=/data/styles.safetensors", "train.init_checkpoint=seed2.pth"],
        # What a checkpoint makes needless.
        ["model.backbone.tower.weights=null"],
    ],
)
def test_seeds_and_places_of_files_do_not_count(overrides: list[str]) -> None:
    assert config_difference(recorded(), recorded(*overrides)) is None
    assert config_difference(recorded(*overrides), recorded()) is None


@pytest.mark.parametrize(
    ("override", "key", "values"),
    [
        ("optimizer.lr=9", "optimizer.lr", (0.1, 9)),
        ("styles.augmentation=null", "styles.augmentation.probability", (1.0, None)),
        ("+model.extra=1", "model.extra", (None, 1)),
        ("dataloader.crop_size=[768,512]", "dataloader.crop_size.1", (768, 512)),
        ("model.backbone.tower.weights=other", "model.backbone.tower.weights", ("openai", "other")),
        ("evaluation.domains=[cityscapes]", "evaluation.domains.1", ("bdd100k", None)),
    ],
)
def test_everything_else_is_named(override: str, key: str, values: tuple[Any, Any]) -> None:
    found = config_difference(recorded(), recorded(override))
    assert found == (key, *values)


def test_texts_are_compared_whole() -> None:
    assert config_difference("a", "a") is None
    assert config_difference("a", "b") == ("", "a", "b")
    assert config_difference(None, None) is None
    assert config_difference({}, {"a": {}}) == ("", {}, None)
