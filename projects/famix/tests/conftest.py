"""The library's own fixtures, and the ablations as configs small enough for tests."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig
from omegaconf import DictConfig

from langdg_d2.engine import apply_overrides

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "projects/famix"))  # of its command and module
ABLATIONS = ROOT / "projects/famix/configs/ablations"

_spec = importlib.util.spec_from_file_location("library_fixtures", ROOT / "tests/conftest.py")
_library = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_library)
tiny_clip, tiny_model = _library.tiny_clip, _library.tiny_model
tiny_tower, random_segmentor = _library.tiny_tower, _library.random_segmentor
write_datasets = _library.write_datasets
_seeded, _loggers_restored = _library._seeded, _library._loggers_restored


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which fight over a busy machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def datasets(write_datasets: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of data sets whose images are large enough for 3 x 3 patches of `layer3`."""
    return write_datasets(tmp_path_factory.mktemp("datasets"), images=4, size=(96, 128))


@pytest.fixture
def small(
    datasets: Path, tiny_model: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], DictConfig]:
    """Function that loads an ablation by name, to run on a tiny CLIP and in a folder of its own."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))

    def load(name: str) -> DictConfig:
        path = ROOT / "configs/langdg_gta5.py" if name == "main" else ABLATIONS / f"{name}.py"
        return apply_overrides(
            LazyConfig.load(str(path)),
            [
                f"train.output_dir={tmp_path / name}",
                "train.device=cpu",
                *tiny_model,
                "model.backbone.tower.weights=null",
                "dataloader.crop_size=[96,128]",
                "styles.mining.batches.batch_size=2",
                "styles.mining.num_workers=0",
            ],
        )

    return load
