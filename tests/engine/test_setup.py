"""What every tool does first."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import MapDataset
from detectron2.engine import default_argument_parser
from torch.utils.data import DataLoader

from langdg_d2.engine import build_model, setup

CONFIG = Path(__file__).parents[2] / "configs/langdg_gta5.py"


@pytest.fixture
def start(tmp_path):
    """Function that sets up a run on the CPU with overrides."""
    options = ["--config-file", str(CONFIG), "--num-gpus", "0", f"train.output_dir={tmp_path}"]
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


@pytest.mark.parametrize("with_clip", [True, False])
def test_random_weights_are_announced_unless_others_take_their_place(
    start, with_clip, tiny_model, tmp_path
):
    build_model(start(*tiny_model, "model.backbone.tower.weights=null"), with_clip=with_clip)
    assert ("WARNING: CLIP" in (tmp_path / "log.txt").read_text()) is with_clip


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.precision=float16", "'float16' is for GPUs"),
        ("evaluation.inference.precision=half", "'half', expected one of float32"),
    ],
)
def test_a_precision_that_there_is_not_is_refused_at_once(start, override, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        start(override)
    assert not list(tmp_path.iterdir())
