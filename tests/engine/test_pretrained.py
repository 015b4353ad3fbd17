"""A model in one file is the model that was saved, and nothing else is built from a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from langdg_d2.engine import load_config
from langdg_d2.engine.pretrained import (
    PRETRAINED,
    describe_model,
    load_pretrained,
    save_pretrained,
)
from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.modeling.checkpoint_files import CheckpointError
from langdg_d2.structures import LabelSpace

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
OWN = [
    "model.classes.names=[road,rail,tram]",
    "model.classes.colors=null",
    "model.classes.ids=null",
]


@pytest.fixture
def cfg(tiny_model: list[str]) -> DictConfig:
    return load_config(CONFIG, tiny_model)


@pytest.fixture
def model(random_segmentor: Callable[..., LangDGSegmentor], tiny_model: list[str]) -> Any:
    return random_segmentor(tiny_model)


@pytest.fixture
def file(cfg: DictConfig, model: LangDGSegmentor, tmp_path: Path) -> Path:
    save_pretrained(tmp_path / PRETRAINED, model=model, header=describe_model(cfg, {"seed": 3}))
    return tmp_path / PRETRAINED


def rewritten(file: Path, change: Callable[[dict], None]) -> Path:
    with safe_open(file, "pt") as opened:
        header = json.loads(opened.metadata()["langdg_d2"])
    change(header)
    save_file(load_file(file), file, {"langdg_d2": json.dumps(header)})
    return file


def logits(model: LangDGSegmentor) -> torch.Tensor:
    image = torch.randint(256, (3, 70, 90), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model([{"image": image.to(torch.uint8)}])[0]["sem_seg"]


def test_a_saved_model_predicts_the_same(file: Path, model: LangDGSegmentor):
    loaded = load_pretrained(file)
    assert torch.equal(logits(loaded.model), logits(model))
    assert loaded.model.classes == model.classes
    assert loaded.header["notes"] == {"seed": 3}
    assert torch.equal(logits(load_pretrained(file.parent).model), logits(model))


def test_no_file_but_the_saved_one_is_needed(file: Path, tiny_clip: str, model: LangDGSegmentor):
    description = Path(tiny_clip)
    hidden = description.rename(description.with_suffix(".hidden"))
    try:
        assert torch.equal(logits(load_pretrained(file).model), logits(model))
    finally:
        hidden.rename(description)


def test_a_loaded_model_can_be_saved_again(file: Path, model: LangDGSegmentor):
    again = file.with_name("again.safetensors")
    loaded = load_pretrained(file)
    save_pretrained(again, model=loaded.model, header=loaded.header)
    assert torch.equal(logits(load_pretrained(again).model), logits(model))


def test_half_precision_halves_the_file_and_keeps_predictions(
    file: Path, cfg: DictConfig, model: LangDGSegmentor
):
    half = file.with_name("half.safetensors")
    save_pretrained(half, model=model, header=describe_model(cfg), precision="float16")
    assert half.stat().st_size < 0.6 * file.stat().st_size
    wanted, found = logits(model), logits(load_pretrained(half).model)
    assert (found.argmax(0) == wanted.argmax(0)).float().mean() > 0.99
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.01 * wanted.abs().max().item())


def test_own_classes_are_part_of_the_file(
    random_segmentor: Callable[..., LangDGSegmentor], tiny_model: list[str], tmp_path: Path
):
    own = [*tiny_model, *OWN, "model.sem_seg_head.num_classes=3"]
    path = tmp_path / "own.safetensors"
    header = describe_model(load_config(CONFIG, own))
    save_pretrained(path, model=random_segmentor(own), header=header)
    assert load_pretrained(path).model.classes == LabelSpace(["road", "rail", "tram"])


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "langdg_d2.modeling.checkpoint_files.write_weights",
        "langdg_d2.modeling.checkpoint_files.Path",
        "langdg_d2.modeling.checkpoint_files.torch.hub.load",
        "langdg_d2.utils.file_io.write_text",
    ],
)
def test_a_file_cannot_name_other_code(file: Path, target: str, tmp_path: Path):
    def change(header: dict) -> None:
        header["model"]["criterion"] = {"_target_": target, "path": str(tmp_path / "made")}

    with pytest.raises(CheckpointError, match="not a part of models"):
        load_pretrained(rewritten(file, change))
    assert not (tmp_path / "made").exists()


def test_a_damaged_file_is_refused(file: Path):
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(file)
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_pretrained(file)


def test_weights_alone_are_not_a_model(file: Path):
    save_file(load_file(file), file)
    with pytest.raises(CheckpointError, match="Predictor.from_config"):
        load_pretrained(file)


def test_a_downloaded_repository_opens_without_network(
    file: Path, model: LangDGSegmentor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commit = 40 * "a"
    repository = tmp_path / "hub/models--someone--famix"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    file.rename(repository / "snapshots" / commit / PRETRAINED)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert torch.equal(logits(load_pretrained("someone/famix").model), logits(model))
    with pytest.raises(CheckpointError, match="neither a file"):
        load_pretrained("someone/else")
    with pytest.raises(CheckpointError, match="neither a file"):
        load_pretrained("no such/place/at all.safetensors")
