"""What the training loader hands out depends on the seed and the position alone."""

from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.utils import comm

from langdg_d2.data import TrainingStream, training_loader
from langdg_d2.utils.errors import LangDGError

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


def test_resuming_at_a_batch_continues_the_stream():
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
    with pytest.raises(
        LangDGError, match="total_batch_size is 3, expected a multiple of the 2 proc"
    ):
        loader(total_batch_size=3)


def test_global_randomness_is_not_used():
    for workers in (0, 1):
        torch.manual_seed(1)
        batches(2, num_workers=workers)
        drawn = torch.rand(3)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(3), drawn)


def weighted(weights, **options):
    dataset = [{"id": k, "source": "few" if k < 3 else "many"} for k in range(53)]
    options = {"dataset": dataset, "mapper": mapper, "seed": 5, "source_weights": weights} | options
    return TrainingStream(**options)


@pytest.mark.parametrize("weights", [{"few": 1, "many": 1}, {"many": 0.9, "few": 0.3}])
def test_weighted_sources_have_their_shares_and_own_epochs(weights):
    stream = weighted(weights)
    ids = [stream[position]["id"] for position in range(4000)]
    few = [k for k in ids if k < 3]
    share = weights["few"] / sum(weights.values())
    assert len(few) == pytest.approx(4000 * share, abs=128 / share)
    for own, size in ((few, range(3)), ([k for k in ids if k >= 3], range(3, 53))):
        epochs = [own[k : k + len(size)] for k in range(0, len(own) - len(size), len(size))]
        assert all(sorted(epoch) == list(size) for epoch in epochs)
        assert len({*map(tuple, epochs)}) > 1
    # In random order: how many of 8 are of one source varies as it does by chance.
    counts = np.reshape(np.array(ids) < 3, (-1, 8)).sum(1)
    assert counts.var() == pytest.approx(8 * share * (1 - share), rel=0.25)


def test_weighted_positions_depend_on_seed_and_position_alone():
    stream = weighted({"few": 1, "many": 2})
    unbroken = [stream[position] for position in range(600)]
    for position in (599, 3, 257, 256, 255, 0):
        assert weighted({"many": 2, "few": 1})[position] == unbroken[position]
    assert [weighted({"few": 1, "many": 2}, seed=6)[k] for k in range(20)] != unbroken[:20]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"few": 1},
            r"are \{'few': 1\}, expected a number for each source, such as \{few:1,many:1",
        ),
        ({"few": 1, "many": 1, "more": 1}, "expected a number for each source"),
        ({"few": 1, "many": 0}, "expected positive numbers"),
        ({"few": 1, "many": float("nan")}, "expected positive numbers"),
        ({"few": 1, "many": "1"}, "expected positive numbers"),
        ({"few": 1e-9, "many": 1}, r"each at least 0\.0001 of their sum"),
    ],
)
def test_weights_of_other_sources_or_no_numbers_are_refused(weights, message):
    with pytest.raises(LangDGError, match=message):
        weighted(weights)


def test_a_negative_seed_draws_one():
    np.random.seed(1)
    assert batches(2, seed=-1) != batches(2, seed=-1)
