"""What the training loader hands out depends on the seed and the position alone."""

from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.utils import comm

from langdg_d2.data import TrainingStream, training_loader

SIZE = 7


def mapper(record):
    return record | {"drawn": float(np.random.rand() + torch.rand(()))}


def loader(**options):
    settings = {"total_batch_size": 4, "seed": 5} | options
    return training_loader(dataset=[{"id": k} for k in range(SIZE)], mapper=mapper, **settings)


def batches(count, **options):
    return list(islice(loader(**options), count))


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own():
    stream = TrainingStream(dataset=[{"id": k} for k in range(SIZE)], mapper=mapper, seed=0)
    ids = [stream[position]["id"] for position in range(100 * SIZE)]
    epochs = [tuple(ids[k : k + SIZE]) for k in range(0, len(ids), SIZE)]
    assert all(sorted(epoch) == list(range(SIZE)) for epoch in epochs)
    assert len(set(epochs)) > 90
    first = np.bincount([epoch[0] for epoch in epochs], minlength=SIZE)
    assert first.min() > 3  # of 14 on average


def test_taken_up_at_a_batch_and_with_workers_it_goes_on_as_if_never_stopped():
    unbroken = batches(9)
    assert len({example["drawn"] for batch in unbroken for example in batch}) == 36
    for workers in (0, 1, 2):
        assert batches(5, first_batch=4, num_workers=workers) == unbroken[4:]
    assert batches(2, seed=6) != unbroken[:2]


def test_processes_share_the_batches_that_one_would_have(monkeypatch):
    alone = batches(3)
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        parts.append(batches(3))
    for whole, first, second in zip(alone, *parts, strict=True):
        assert (whole[::2], whole[1::2]) == (first, second)
    with pytest.raises(ValueError, match="total_batch_size 3 must be a multiple of the 2 proc"):
        loader(total_batch_size=3)


def test_global_randomness_is_not_used():
    for workers in (0, 1):
        torch.manual_seed(1)
        batches(2, num_workers=workers)
        drawn = torch.rand(3)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(3), drawn)


def test_a_negative_seed_draws_one():
    np.random.seed(1)
    assert batches(2, seed=-1) != batches(2, seed=-1)
