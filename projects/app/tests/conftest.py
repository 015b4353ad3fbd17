"""The library's own fixtures, a tiny model, and files that users might bring."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # of its command and modules

from live_styles import LiveStyles
from uploads import Limits

from langdg_d2.engine import apply_overrides
from langdg_d2.visualization import Predictor, VideoWriter

ROOT = Path(__file__).parents[3]
CONFIG = str(ROOT / "configs/langdg_gta5.py")

_spec = importlib.util.spec_from_file_location("library_fixtures", ROOT / "tests/conftest.py")
_library = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_library)
tiny_clip, tiny_model, reference = _library.tiny_clip, _library.tiny_model, _library.reference
_seeded, _loggers_restored = _library._seeded, _library._loggers_restored


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which fight over a busy machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _environment_restored() -> Iterator[None]:
    """What serving the page sets for the process ends with the tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", None)
        patch.setenv("GRADIO_TEMP_DIR", "")
        patch.setenv("no_proxy", "")
        yield


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
    return LiveStyles(CONFIG, overrides)


@pytest.fixture(scope="session")
def models(predictor: Predictor, live_styles: LiveStyles) -> dict[str, Any]:
    """What the page works with."""
    limits = Limits(megabytes=1, longest_side=120, frames=3)
    return {"predictors": {"tiny": predictor}, "styles": live_styles, "limits": limits}


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
