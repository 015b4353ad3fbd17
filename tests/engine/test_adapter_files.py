"""Adapter files hold what training changes, and fit the tower of their training alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyCall as L
from detectron2.config import instantiate
from detectron2.layers import ShapeSpec
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file, save_file

from langdg_d2.engine import describe_model, load_adapter, save_adapter
from langdg_d2.engine.pretrained import load_pretrained
from langdg_d2.modeling import (
    LangDGSegmentor,
    LinearHead,
    LoRA,
    PixelCrossEntropy,
    Rein,
    SoMA,
    VitTower,
    load_timm_tower,
)
from langdg_d2.modeling.checkpoint_files import CheckpointError
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

ADAPTERS = {
    "lora": L(LoRA)(rank=2, alpha=6),
    "soma": L(SoMA)(rank=2, start="minor"),
    "rein": L(Rein)(tokens=3, rank=2, scale=0.5),
}


@pytest.fixture(params=ADAPTERS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "adapter.safetensors"


@pytest.fixture
def weights(tmp_path) -> str:
    """File of a tower's weights."""
    tower = load_timm_tower(name="test_vit", weights=None)
    path = tmp_path / "tower.safetensors"
    save_file({name: torch.randn_like(p) / 9 for name, p in tower.state_dict().items()}, path)
    return str(path)


def config(weights: str | None, adapter: Any) -> DictConfig:
    model = L(LangDGSegmentor)(
        backbone=L(VitTower)(
            tower=L(load_timm_tower)(name="test_vit", weights=weights),
            taps=[2, 5],
            trainable=[],
            adapter=adapter,
        ),
        sem_seg_head=L(LinearHead)(
            input_shape={"res4": L(ShapeSpec)(channels=128, stride=16)},
            in_feature="res4",
            num_classes=3,
        ),
        criterion=L(PixelCrossEntropy)(ignore_label=255, label_smoothing=0.0),
        pixel_mean=[120.0, 110.0, 100.0],
        pixel_std=[50.0, 60.0, 70.0],
        classes=L(LabelSpace)(
            names=["sky", "road", "car"], colors=[[0, 0, 0], [1, 1, 1], [2, 2, 2]], ids=None,
            ignore_label=255,
        ),
    )  # fmt: skip
    return OmegaConf.create(
        {"model": model, "evaluation": {"inference": {}}}, flags={"allow_objects": True}
    )


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(4))


def trained(cfg: DictConfig) -> LangDGSegmentor:
    model = instantiate(cfg.model).train()
    training = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(training, lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        model.logits(images()).square().mean().backward()
        optimizer.step()
    return model.eval()


def written(file: Path, weights: str | None, kind: str = "lora") -> LangDGSegmentor:
    cfg = config(weights, ADAPTERS[kind])
    model = trained(cfg)
    save_adapter(file, model=model, header=describe_model(cfg, {"seed": 3}), weights=weights)
    return model


def test_a_loaded_adapter_computes_the_same(kind, file, weights):
    model = written(file, weights, kind)
    loaded = load_adapter(file, weights=weights)
    assert torch.equal(loaded.model.logits(images()), model.logits(images()))
    assert torch.equal(loaded.model.normalize(images()), model.normalize(images()))
    assert loaded.model.classes == model.classes
    assert loaded.header["notes"] == {"seed": 3}


def test_files_hold_nothing_of_the_frozen_tower(kind, file, weights):
    model = written(file, weights, kind)
    training = {name for name, p in model.named_parameters() if p.requires_grad}
    buffers = {name for name in model.state_dict() if name not in dict(model.named_parameters())}
    assert set(load_file(file)) == training | buffers


def test_other_weights_of_the_tower_are_refused(kind, file, weights):
    written(file, weights, kind)
    with pytest.raises(CheckpointError, match=rf"on the tower 'test_vit' .* '{weights}' .*pass th"):
        load_adapter(file, weights=None)


def test_damaged_and_other_files_are_refused(file, weights):
    written(file, weights)
    with pytest.raises(CheckpointError, match="without a description of their model"):
        load_pretrained(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its weights"):
        load_adapter(file, weights=weights)
    file.write_bytes(content[:100])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_adapter(file, weights=weights)


def test_models_without_frozen_tower_are_refused(file):
    cfg = config(None, None)
    cfg.model.backbone.trainable = ["patch_embed", *(f"blocks.{k}" for k in range(6))]
    model = instantiate(cfg.model)
    with pytest.raises(LangDGError, match="the model has no frozen parameters"):
        save_adapter(file, model=model, header=describe_model(cfg), weights=None)
    assert not file.exists()
