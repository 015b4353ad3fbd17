"""A tiny model, its CLIP, and files that users might bring."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image

from langdg_d2.app import Actions, Limits, LiveStyles
from langdg_d2.engine import apply_overrides
from langdg_d2.visualization import Predictor, VideoWriter

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
LIMITS = Limits(megabytes=1, longest_side=120, frames=3)


@pytest.fixture(scope="session")
def overrides(tiny_model: list[str]) -> list[str]:
    """Changes that make the config tiny, with random weights, always the same."""
    return [*tiny_model, "model.backbone.tower.weights=null", "train.device=cpu"]


@pytest.fixture(scope="session")
def predictor(overrides: list[str]) -> Predictor:
    torch.manual_seed(1)
    model = instantiate(apply_overrides(LazyConfig.load(CONFIG), overrides).model)
    for parameter in model.sem_seg_head.parameters():  # far from undecided
        parameter.data *= 3
    return Predictor(model=model)


@pytest.fixture(scope="session")
def live_styles(overrides: list[str]) -> LiveStyles:
    return LiveStyles.from_config(CONFIG, overrides)


@pytest.fixture(scope="session")
def actions(predictor: Predictor, live_styles: LiveStyles) -> Actions:
    return Actions(predictors={"tiny": predictor}, limits=LIMITS, styles=live_styles)


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """Function that paints large coloured areas with some noise, (H, W, 3) uint8."""

    def paint(height: int = 72, width: int = 96, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 200, (3, 4, 3))
        rows, cols = np.arange(height) * 3 // height, np.arange(width) * 4 // width
        fine = rng.integers(0, 56, (height, width, 3))
        return (coarse[rows][:, cols] + fine).astype(np.uint8)

    return paint


@pytest.fixture
def image_file(scene: Callable[..., np.ndarray], tmp_path: Path) -> Path:
    Image.fromarray(scene()).save(tmp_path / "street.png")
    return tmp_path / "street.png"


@pytest.fixture
def clip_file(scene: Callable[..., np.ndarray], tmp_path: Path) -> Path:
    """Five frames."""
    with VideoWriter(path=tmp_path / "drive.mp4", rate=12.5) as writer:
        for seed in range(5):
            writer.write(scene(seed=seed))
    return tmp_path / "drive.mp4"
