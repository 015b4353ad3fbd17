"""Towers of timm load from files of every kind, the same each time, without a network."""

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN

from langdg_d2.modeling import PixelNormalization, load_timm_tower
from langdg_d2.utils.errors import LangDGError

NAME = "test_vit"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Weights of no tower."""
    return {
        k: torch.randn_like(v)
        for k, v in load_timm_tower(name=NAME, weights=None).state_dict().items()
    }


def test_random_weights_are_the_same_every_time():
    first = load_timm_tower(name=NAME, weights=None)
    torch.rand(3)
    before = torch.get_rng_state()
    second = load_timm_tower(name=NAME, weights=None)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not first.training


@pytest.mark.parametrize("kind", ["safetensors", "nested", "with a classifier"])
def test_weights_of_files_are_loaded(kind, state, tmp_path):
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "nested":
        torch.save({"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    else:
        torch.save(
            {**state, "head.weight": torch.zeros(10, 64), "head.bias": torch.zeros(10)}, path
        )
    tower = load_timm_tower(name=NAME, weights=str(path))
    assert all(torch.equal(value, state[name]) for name, value in tower.state_dict().items())


def test_files_of_other_towers_are_refused(state, tmp_path):
    path = tmp_path / "weights.pth"
    del state["blocks.0.norm1.weight"]
    torch.save({**state, "pos_embed": torch.zeros(1, 5, 64)}, path)
    with pytest.raises(LangDGError, match=r"do not fit 'test_vit': pos_embed is \(1, 5, 64\)"):
        load_timm_tower(name=NAME, weights=str(path))
    path.write_text("not weights")
    with pytest.raises(LangDGError, match="cannot be read as weights of 'test_vit'"):
        load_timm_tower(name=NAME, weights=str(path))
    with pytest.raises(LangDGError, match="neither a file nor 'pretrained'"):
        load_timm_tower(name=NAME, weights=str(tmp_path / "absent.pth"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_large_patch14_dino2", "not an architecture of timm. Nearest: .*dinov2"),
        ("hf-hub:someone/model", "not an architecture of timm"),
        ("local-dir:/tmp", "not an architecture of timm"),
        ("test_vit.absent", r"could not build.*test_vit\.r160_in1k"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(LangDGError, match=message):
        load_timm_tower(name=name, weights=None)


def test_a_failed_download_names_the_remedy(monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "get_paths_info", unreachable, raising=False)
    monkeypatch.setattr("timm.models._hub.hf_hub_download", unreachable)
    with pytest.raises(LangDGError, match=r"with its weights.*timm/test_vit\.r160_in1k.*tower"):
        load_timm_tower(name="test_vit.r160_in1k", weights="pretrained")


def test_weights_for_quickgelu_are_refused_without_it():
    name = "vit_base_patch16_clip_224.openai"
    with pytest.raises(LangDGError, match="name 'vit_base_patch16_clip_quickgelu_224.openai'"):
        load_timm_tower(name=name, weights="pretrained")


@pytest.mark.parametrize(
    ("tower", "means"),
    [
        ("vit_tiny_patch16_224.augreg_in21k", [0.5, 0.5, 0.5]),
        ("ViT-L-16-SigLIP2-256", [0.5, 0.5, 0.5]),
        ("RN50-quickgelu", [0.48145466, 0.4578275, 0.40821073]),
    ],
)
def test_another_normalization_than_the_towers_is_named(tower, means, caplog):
    stds = [0.5] * 3 if means[0] == 0.5 else [0.26862954, 0.26130258, 0.27577711]
    own, other = ([255 * value for value in row] for row in (means, IMAGENET_DEFAULT_MEAN))
    std = [255 * value for value in stds]
    PixelNormalization(mean=own, std=std).warn_if_different(tower)
    assert not caplog.messages
    PixelNormalization(mean=other, std=std).warn_if_different(tower)
    assert f"the weights of '{tower}' were trained with mean {[round(x, 3) for x in own]}" in (
        caplog.text
    )


def test_normalization_of_unknown_towers_is_not_judged(caplog):
    whole = PixelNormalization(mean=[120, 110, 100], std=[50, 60, 70])
    whole.warn_if_different("own.json")
    assert not caplog.messages
    whole.warn_if_different("RN50-quickgelu")
    assert "images are normalised by mean [120.0, 110.0, 100.0]" in caplog.text
