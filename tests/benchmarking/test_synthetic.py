"""Made-up inputs are such as the real ones."""

import pytest
import torch

from langdg_d2.benchmarking.synthetic import random_labels, training_batch
from langdg_d2.structures import PatchGrid


@pytest.mark.parametrize("size", [(64, 64), (100, 150), (30, 200)])
def test_labels_are_squares_of_the_classes(size):
    labels = random_labels(3, size, num_classes=5)
    assert labels.shape == (3, *size)
    assert labels.dtype == torch.uint8
    assert labels.max() < 5
    for top in range(0, size[0], 64):
        for left in range(0, size[1], 64):
            square = labels[:, top : top + 64, left : left + 64]
            assert (square == square[:, :1, :1]).all()


def test_batch_is_what_the_loader_gives():
    grid = PatchGrid(3, 3)
    batch = training_batch(2, (96, 90), grid, num_classes=4, pinned=False)
    for inputs in batch:
        assert inputs["image"].shape == (3, 96, 90)
        assert inputs["image"].dtype == inputs["sem_seg"].dtype == torch.uint8
        majority = grid.majority(inputs["sem_seg"][None])[0]
        assert torch.equal(inputs["patch_classes"], majority)
