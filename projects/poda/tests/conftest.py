"""The library's own fixtures, and single-threaded tests."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

_spec = importlib.util.spec_from_file_location(
    "library_fixtures", Path(__file__).parents[3] / "tests/conftest.py"
)
_library = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_library)
datasets, tiny_clip, tiny_tower = _library.datasets, _library.tiny_clip, _library.tiny_tower
tiny_model, load_tool = _library.tiny_model, _library.load_tool
write_datasets = _library.write_datasets
_seeded, _loggers_restored = _library._seeded, _library._loggers_restored
_no_report = _library._no_report


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which fight over a busy machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
