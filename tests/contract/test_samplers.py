"""Contract of the samplers, in one process and across several."""

from itertools import islice

import pytest
import torch
from detectron2.data import build_batch_data_loader
from detectron2.data.samplers import InferenceSampler, TrainingSampler


def first(sampler, count):
    return list(islice(sampler, count))


def test_training_stream_is_one_permutation_after_another():
    stream = first(TrainingSampler(7, seed=3), 70)
    epochs = [stream[k : k + 7] for k in range(0, 70, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 5


def test_training_stream_is_fixed_by_its_seed():
    generator = torch.Generator().manual_seed(3)
    expected = torch.cat([torch.randperm(7, generator=generator) for _ in range(3)]).tolist()
    sampler = TrainingSampler(7, seed=3)
    assert first(sampler, 21) == expected
    assert first(sampler, 21) == expected
    assert first(TrainingSampler(7, seed=4), 21) != expected


def test_training_stream_without_shuffling_counts_up_to_a_positive_size():
    assert first(TrainingSampler(3, shuffle=False, seed=0), 7) == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(ValueError, match="0"):
        TrainingSampler(0)


def test_inference_takes_every_index_once():
    sampler = InferenceSampler(5)
    assert list(sampler) == [0, 1, 2, 3, 4]
    assert len(sampler) == 5
    with pytest.raises(AssertionError):
        InferenceSampler(0)


def test_processes_deal_one_training_stream_out_between_them(on_processes):
    parts = on_processes(2, lambda: first(TrainingSampler(5, seed=3), 10))
    stream = [index for pair in zip(*parts, strict=True) for index in pair]
    assert stream == first(TrainingSampler(5, seed=3), 20)


def test_processes_agree_on_a_seed_that_is_not_given(on_processes):
    parts = on_processes(2, lambda: first(TrainingSampler(6), 12))
    stream = [index for pair in zip(*parts, strict=True) for index in pair]
    assert all(sorted(stream[k : k + 6]) == list(range(6)) for k in range(0, 24, 6))


def test_processes_split_inference_into_contiguous_even_parts(on_processes):
    parts = on_processes(3, lambda: list(InferenceSampler(7)))
    assert parts == [[0, 1, 2], [3, 4], [5, 6]]


def test_processes_share_the_total_batch(on_processes):
    def batches():
        sampler = TrainingSampler(12, shuffle=False, seed=0)
        with pytest.raises(AssertionError, match="3"):
            build_batch_data_loader(list(range(12)), sampler, 3)
        return first(build_batch_data_loader(list(range(12)), sampler, 4), 2)

    assert on_processes(2, batches) == [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]
