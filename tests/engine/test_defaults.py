"""What every tool does first."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import MapDataset
from detectron2.engine import default_argument_parser
from torch.utils.data import DataLoader

from langdg_d2.engine import setup, start_run

CONFIG = Path(__file__).parents[2] / "configs/langdg_gta5.py"


@pytest.fixture
def options(tmp_path):
    """Of a run on the CPU."""
    return ["--config-file", str(CONFIG), "--num-gpus", "0", f"train.output_dir={tmp_path}"]


@pytest.fixture
def start(options):
    """Function that sets up a run on the CPU with overrides."""
    return lambda *overrides: setup(default_argument_parser().parse_args([*options, *overrides]))


def _work(image: np.ndarray) -> int:
    cv2.GaussianBlur(image, (5, 5), 0)
    return cv2.getNumThreads()


def test_opencv_keeps_to_one_thread_also_in_workers(start):
    image = np.zeros((1000, 1000, 3), np.uint8)
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        assert _work(image) == 3  # its threads run now; a forked process has none of them
        start()
        loader = DataLoader(MapDataset([image], _work), num_workers=1, timeout=60)
        assert [int(threads) for threads in (_work(image), *loader)] == [1, 1]
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("option", [None, "--eval-only"])
def test_random_weights_are_announced_where_they_are_used(options, option, tiny_model, tmp_path):
    chosen = [*([option] if option else []), *options, *tiny_model]
    args = default_argument_parser().parse_args([*chosen, "model.backbone.tower.weights=null"])
    start_run(setup(args), args)
    log = (tmp_path / "log.txt").read_text()
    assert ("has random weights" in log) is (option is None)
    assert log.count("Command line arguments") == 1  # no line is logged twice
