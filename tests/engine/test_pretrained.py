"""A model in one file is the model that was saved, and nothing else is built from a file."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from detectron2.config import instantiate
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
    "part",
    [
        {"_target_": "os.system", "command": "touch MADE"},
        "${oc.create:{_target_:os.system,command:'touch MADE'}}",
        {"_target_": "langdg_d2.utils.file_io.write_text", "path": "MADE", "text": ""},
        {"_target_": "langdg_d2.modeling.checkpoint_files.write_weights", "path": "MADE"},
        {"_target_": "langdg_d2.modeling.checkpoint_files.torch.nn.Linear", "in_features": 1},
        {"_target_": "langdg_d2.modeling.text_encoder.open_clip.hf_model.HFTextEncoder"},
        {"_target_": "elsewhere.LangDGSegmentor"},
        {"_target_": ["langdg_d2.modeling.PixelCrossEntropy"]},
        {"_target_": "langdg_d2.structures.LabelSpace", "names": ["a"]},
        None,
    ],
)
@pytest.mark.parametrize("place", ["criterion", "pixel_mean", "classes", "backbone", ""])
def test_nothing_else_is_built_from_a_file(
    file: Path, part: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    def change(header: dict) -> None:
        if place:
            header["model"][place] = part
        else:
            header["model"] = part

    foreign = isinstance(part, dict) and "names" not in part
    with pytest.raises(CheckpointError) if foreign else suppress(CheckpointError):
        load_pretrained(rewritten(file, change))
    assert not Path("MADE").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": {"text_cfg": {"hf_model_name": "a/b"}}},
        {"architecture": {"vision_cfg": {"timm_model_name": "hf-hub:a/b"}}},
        {"architecture": {"custom_text": True}},
        {"architecture": None},
        {"architecture": None, "model": {"backbone": {"tower": {"name": "roberta-ViT-B-32"}}}},
        {"model": {}},
        {"weights": None},
        {"format": 2},
    ],
)
def test_headers_of_another_kind_are_refused(file: Path, change: dict):
    def merge(header: dict) -> None:
        for key, value in change.items():
            merged = isinstance(value, dict) and value and header[key]
            header[key] = {**header[key], **value} if merged else value
        for key in ("text_cfg", "vision_cfg"):
            header["architecture"] and header["architecture"].setdefault(key, {})

    with pytest.raises(CheckpointError):
        load_pretrained(rewritten(file, merge))


def test_a_file_names_no_other_weights(file: Path, model: LangDGSegmentor):
    def change(header: dict) -> None:
        header["model"]["backbone"]["tower"]["weights"] = "openai"

    assert torch.equal(logits(load_pretrained(rewritten(file, change)).model), logits(model))


LOADER = {
    "_target_": "langdg_d2.modeling.load_timm_tower",
    "name": "test_vit",
    "weights": "pretrained",
}


@pytest.mark.parametrize("place", ["criterion", "backbone.restyled_layer", "classes.names"])
def test_towers_load_nowhere_but_in_the_backbone(
    file: Path, place: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("it was built"))
    *parts, key = place.split(".")

    def change(header: dict) -> None:
        part = header["model"]
        for name in parts:
            part = part[name]
        part[key] = LOADER

    with pytest.raises(CheckpointError, match="a tower other than its backbone's"):
        load_pretrained(rewritten(file, change))


@pytest.mark.parametrize("name", ["hf-hub:a/b", "local-dir:a", "a/b"])
def test_towers_of_timm_are_those_it_lists(file: Path, name: str):
    def change(header: dict) -> None:
        header["architecture"] = None
        header["model"]["backbone"]["tower"] = {**LOADER, "name": name}

    with pytest.raises(CheckpointError, match="not an architecture of timm"):
        load_pretrained(rewritten(file, change))


@pytest.mark.parametrize("config", ["langdg_gta5_dinov2_l", "langdg_gta5_eva02_l"])
def test_a_model_on_a_vision_transformer_is_read_without_network(
    config: str, tiny_vit: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("timm.models._hub.hf_hub_download", lambda *_, **__: pytest.fail("network"))
    cfg = load_config(CONFIG.replace("langdg_gta5", config), tiny_vit[config])
    header = describe_model(cfg)
    cfg.model.backbone.tower.weights = None
    model = instantiate(cfg.model).eval()
    save_pretrained(tmp_path / PRETRAINED, model=model, header=header)
    loaded = load_pretrained(tmp_path / PRETRAINED).model
    assert torch.equal(logits(loaded), logits(model))


def test_a_model_with_parts_of_others_cannot_be_described(cfg: DictConfig):
    cfg.model.criterion = {"_target_": "torch.nn.CrossEntropyLoss"}
    with pytest.raises(CheckpointError, match=r"part 'torch\.nn\.CrossEntropyLoss'"):
        describe_model(cfg)


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
    with pytest.raises(CheckpointError, match="there is no file"):
        load_pretrained("no such/place/at all.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="there is no file"):  # not a repository "hub/..."
        load_pretrained("hub/famix")


@pytest.mark.parametrize("name", ["hf-hub:a/b", "local-dir:/a", "unknown"])
def test_tower_names_lead_to_no_other_repository(
    file: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    def change(header: dict) -> None:
        header["architecture"] = None
        header["model"]["backbone"]["tower"]["name"] = name

    monkeypatch.setattr(open_clip, "get_model_config", pytest.fail)
    with pytest.raises(CheckpointError, match=f"tower '{name}' is not an architecture"):
        load_pretrained(rewritten(file, change))
