"""Data sets that a test may damage."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(datasets: Path, tmp_path: Path) -> Path:
    """A copy of the data sets, for one test."""
    return shutil.copytree(datasets, tmp_path / "copy")
