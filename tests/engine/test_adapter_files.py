"""Adapter files hold what training changes, and fit the tower of their training alone."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from langdg_d2.engine import load_adapter, save_adapter
from langdg_d2.engine.pretrained import load_pretrained
from langdg_d2.modeling.backbone.adapters import LoRA, Rein, SoMA
from langdg_d2.modeling.checkpoint_files import CheckpointError
from langdg_d2.utils.errors import LangDGError

TOWER = {"name": "vit_tiny_patch8", "weights": "made_up"}
ADAPTERS = {"lora": LoRA(rank=2), "soma": SoMA(rank=2), "rein": Rein(tokens=3, rank=2)}


class Model(nn.Module):
    """A frozen tower with an adapter, and a head with statistics."""

    def __init__(self, kind: str, seed: int = 0, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = VisionTransformer(
            img_size=16, patch_size=8, embed_dim=width, depth=2, num_heads=2, num_classes=0
        )
        ADAPTERS[kind].attach(self.backbone)
        self.head = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(width, 3))

    def forward(self, images):
        return self.head(self.backbone.forward_features(images))


@pytest.fixture(params=ADAPTERS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "adapter.safetensors"


def trained(kind: str) -> Model:
    model = Model(kind)
    training = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(training, lr=0.5)
    for seed in range(2):
        optimizer.zero_grad()
        images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        model(images).square().mean().backward()
        optimizer.step()
    return model.eval()


def test_a_loaded_adapter_computes_the_same(kind, file):
    model = trained(kind)
    save_adapter(file, model, tower=TOWER, notes={"seed": 3})
    other = Model(kind).eval()
    header = load_adapter(file, other)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(other(images), model(images))
    assert (header["tower"], header["notes"]) == (TOWER, {"seed": 3})


def test_files_hold_nothing_of_the_frozen_tower(kind, file):
    model = trained(kind)
    save_adapter(file, model, tower=TOWER)
    held = set(load_file(file))
    training = {name for name, p in model.named_parameters() if p.requires_grad}
    buffers = {name for name, _ in model.named_buffers()}
    assert held == training | buffers


def test_other_towers_are_refused_by_name(kind, file):
    save_adapter(file, trained(kind), tower=TOWER)
    other = Model(kind, seed=1)  # as one whose weights were not loaded
    before = deepcopy(other.state_dict())
    message = "adapter of the tower 'vit_tiny_patch8' with the weights 'made_up', whose frozen"
    with pytest.raises(CheckpointError, match=message):
        load_adapter(file, other)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    with pytest.raises(CheckpointError, match="'vit_tiny_patch8' .* does not fit the model"):
        load_adapter(file, Model(kind, width=32))


def test_other_adapters_are_refused(file):
    save_adapter(file, trained("lora"), tower=TOWER)
    with pytest.raises(CheckpointError, match="does not fit the model: .*config of its training"):
        load_adapter(file, Model("rein"))


def test_damaged_and_other_files_are_refused(file):
    save_adapter(file, trained("lora"), tower=TOWER)
    with pytest.raises(CheckpointError, match="without a description of their model"):
        load_pretrained(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its weights"):
        load_adapter(file, Model("lora"))
    file.write_bytes(content[:100])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_adapter(file, Model("lora"))


def test_models_without_frozen_tower_are_refused(file):
    with pytest.raises(LangDGError, match="no parameter of the model is frozen"):
        save_adapter(file, nn.Linear(2, 2), tower=TOWER)
    assert not file.exists()
