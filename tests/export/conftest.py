"""A segmentor of the tiny CLIP, none of whose weights and statistics is special."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from langdg_d2.engine import apply_overrides
from langdg_d2.modeling import LangDGSegmentor

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")


@pytest.fixture(scope="session")
def model(tiny_model: list[str]) -> LangDGSegmentor:
    torch.manual_seed(0)
    cfg = apply_overrides(LazyConfig.load(CONFIG), tiny_model)
    cfg.model.backbone.tower.weights = None
    model = instantiate(cfg.model).eval()
    for tensor in model.state_dict().values():
        if tensor.dim() == 1:
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return model
