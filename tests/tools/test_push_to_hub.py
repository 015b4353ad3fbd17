"""A model is written for the Hub with a card, and opened from there."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.visualization import Predictor

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")


@pytest.fixture
def push(load_tool: Callable[[str], ModuleType]) -> Callable[..., None]:
    return load_tool("push_to_hub").main


@pytest.fixture
def checkpoint(
    random_segmentor: Callable[..., LangDGSegmentor], tiny_model: list[str], tmp_path: Path
) -> str:
    torch.save({"model": random_segmentor(tiny_model).state_dict()}, tmp_path / "model.pth")
    return str(tmp_path / "model.pth")


def test_a_folder_opens_as_the_checkpoint_does(
    push: Callable[..., None], checkpoint: str, tiny_model: list[str], tmp_path: Path
) -> None:
    overrides = [*tiny_model, "train.device=cpu"]
    first, again = str(tmp_path / "famix"), str(tmp_path / "half")
    push(["--config-file", CONFIG, "--checkpoint", checkpoint, "--folder", first, *overrides])
    push(["--checkpoint", f"{first}/model.safetensors", "--folder", again, "--half"])
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    expected = Predictor.from_config(CONFIG, checkpoint, overrides)(image)
    assert np.array_equal(Predictor.from_pretrained(first)(image).classes, expected.classes)
    half = Predictor.from_pretrained(again)(image)
    assert (half.classes == expected.classes).mean() > 0.99
    card = Path(first, "README.md").read_text()
    assert 'Predictor.from_pretrained("famix")' in card
    assert "with 19 classes, trained with `langdg_d2`: road, sidewalk" in card


def test_without_network_the_upload_is_one_line(
    push: Callable[..., None],
    checkpoint: str,
    tiny_model: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    options = ["--config-file", CONFIG, "--checkpoint", checkpoint, "--repo-id", "me/famix"]
    with pytest.raises(SystemExit, match="error: 'me/famix' cannot be uploaded"):
        push([*options, *tiny_model, "train.device=cpu"])


def test_changes_without_a_config_are_refused(
    push: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        push(["--checkpoint", "a", "--folder", "b", "evaluation.inference.flip=True"])
    assert "pass --config-file" in capsys.readouterr().err
