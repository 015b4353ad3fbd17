"""Contract of data set wrappers and loaders."""

import pickle
import random
from itertools import chain, islice

import numpy as np
import pytest
import torch
from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    MapDataset,
    ToIterableDataset,
    build_batch_data_loader,
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.build import worker_init_reset_seed
from detectron2.data.samplers import InferenceSampler, TrainingSampler
from torch.utils.data import DataLoader

RECORDS = [{"id": k} for k in range(10)]


@pytest.fixture
def register():
    """Registers lists under names for one test."""
    names = []

    def add(name, data):
        DatasetCatalog.register(name, lambda: data)
        names.append(name)

    yield add
    for name in names:
        DatasetCatalog.remove(name)


def identity(x):
    return x


def take(loader, count):
    return list(islice(loader, count))


@pytest.mark.parametrize(
    "arguments", [{}, {"serialize": False}, {"serialize": True, "copy": False}]
)
def test_elements_can_be_edited_without_harm(arguments):
    data = DatasetFromList([{"x": [1]}, {"x": [2]}], **arguments)
    data[1]["x"].append(9)
    assert [data[k] for k in range(len(data))] == [{"x": [1]}, {"x": [2]}]


def test_only_serialized_and_copied_elements_do_not_follow_the_source():
    source = [{"x": [1]}]
    serialized = DatasetFromList(source)
    shared = DatasetFromList(source, copy=False, serialize=False)
    source[0]["x"].append(9)
    assert serialized[0] == {"x": [1]}
    assert shared[0] is source[0]


def test_the_function_is_applied_to_every_element_also_in_another_process():
    data = MapDataset(DatasetFromList([{}, {"x": 1}, {"x": 1, "y": 2}]), len)
    for mapped in (data, pickle.loads(pickle.dumps(data))):
        assert [mapped[k] for k in range(len(mapped))] == [0, 1, 2]


def test_a_rejected_element_is_replaced_by_an_accepted_one():
    once, again = (
        MapDataset(DatasetFromList(list(range(30))), lambda x: None if x % 3 else x)
        for _ in range(2)
    )
    values = [once[k] for k in range(30)]
    assert all(value % 3 == 0 for value in values)
    assert values[::3] == list(range(0, 30, 3))
    assert len(set(values[1::3])) > 3
    assert [again[k] for k in range(30)] == values
    with pytest.raises(ValueError, match=r"\w"):
        MapDataset([1, 2, 3], lambda x: None)[0]


def test_a_sampled_stream_follows_its_sampler():
    sampler = TrainingSampler(10, seed=1)
    data = ToIterableDataset(DatasetFromList(RECORDS), sampler)
    assert [x["id"] for x in take(data, 20)] == take(sampler, 20)
    with pytest.raises(AssertionError):
        ToIterableDataset(data, sampler)
    with pytest.raises(AssertionError):
        ToIterableDataset(DatasetFromList(RECORDS), [0, 1])


def test_workers_share_the_samples_in_chunks():
    data = ToIterableDataset(DatasetFromList(list(range(10))), InferenceSampler(10), True, 2)
    loader = DataLoader(data, batch_size=2, num_workers=2, collate_fn=identity)
    assert list(loader) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    unsharded = ToIterableDataset(DatasetFromList([5, 6]), InferenceSampler(2), shard_sampler=False)
    assert sorted(DataLoader(unsharded, batch_size=None, num_workers=2)) == [5, 5, 6, 6]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_batches_are_the_samplers_stream_whatever_the_workers(num_workers):
    loader = build_detection_train_loader(
        RECORDS,
        mapper=lambda record: record["id"],
        sampler=TrainingSampler(10, seed=4),
        total_batch_size=4,
        aspect_ratio_grouping=False,
        num_workers=num_workers,
    )
    batches = take(loader, 6)
    assert [len(batch) for batch in batches] == [4] * 6
    assert list(chain(*batches)) == take(TrainingSampler(10, seed=4), 24)


def test_training_shuffles_without_end_by_default():
    loader = build_detection_train_loader(
        RECORDS, mapper=None, total_batch_size=5, aspect_ratio_grouping=False
    )
    ids = [record["id"] for batch in take(loader, 8) for record in batch]
    assert all(sorted(ids[k : k + 10]) == list(range(10)) for k in range(0, 40, 10))
    assert ids != sorted(ids)


def test_training_batches_can_be_collated_and_must_not_be_empty():
    sampler = TrainingSampler(4, shuffle=False, seed=0)
    loader = build_batch_data_loader([1, 2, 3, 4], sampler, 2, collate_fn=sum)
    assert take(loader, 3) == [3, 7, 3]
    with pytest.raises(AssertionError):
        build_batch_data_loader([1, 2, 3, 4], sampler, 0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_testing_sees_every_element_once_and_in_order_by_default_one_at_a_time(num_workers):
    loader = build_detection_test_loader(
        RECORDS, mapper=lambda record: record["id"], batch_size=4, num_workers=num_workers
    )
    assert list(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    assert list(build_detection_test_loader([3, 4], mapper=lambda x: -x)) == [[-3], [-4]]
    collated = build_detection_test_loader([3, 4], mapper=None, batch_size=2, collate_fn=sum)
    assert list(collated) == [7]


def test_workers_draw_different_numbers_that_the_seed_repeats():
    def draw(_):
        return np.random.rand(), random.random(), torch.rand(()).item()

    def draws(seed):
        sampler = TrainingSampler(4, seed=0)
        loader = build_batch_data_loader(
            MapDataset([0] * 4, draw), sampler, 1, num_workers=2, seed=seed
        )
        return [batch[0] for batch in take(loader, 4)]

    first = draws(7)
    assert first == draws(7)
    assert first != draws(8)
    for numbers in zip(*first, strict=True):
        assert len(set(numbers)) == 4


def test_a_worker_is_seeded_by_pytorchs_seed_and_its_number(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    torch.manual_seed(2**31 + 5)
    worker_init_reset_seed(3)
    assert np.random.rand() == np.random.RandomState(8).rand()
    assert random.random() == random.Random(8).random()
    assert torch.initial_seed() == 8


def test_records_of_several_sets_are_joined_if_there_are_any(register):
    register("contract_a", [{"id": 1}, {"id": 2}])
    register("contract_b", [{"id": 3}])
    register("contract_empty", [])
    both = get_detection_dataset_dicts(["contract_b", "contract_a"])
    assert both == [{"id": 3}, {"id": 1}, {"id": 2}]
    assert get_detection_dataset_dicts("contract_b") == [{"id": 3}]
    with pytest.raises(AssertionError, match="contract_empty"):
        get_detection_dataset_dicts("contract_empty")
    with pytest.raises(KeyError, match="contract_none"):
        get_detection_dataset_dicts("contract_none")


def test_only_records_with_annotations_of_crowds_alone_are_empty(register):
    crowd, single = {"iscrowd": 1}, {"category_id": 0}
    records = [{"annotations": a} for a in ([single], [crowd], [], [crowd, single])]
    register("contract_boxes", records)
    register("contract_maps", [{"sem_seg_file_name": "a.png"}])
    kept = get_detection_dataset_dicts("contract_boxes")
    assert kept == [records[0], records[3]]
    assert get_detection_dataset_dicts("contract_boxes", filter_empty=False) == records
    assert get_detection_dataset_dicts("contract_maps") == [{"sem_seg_file_name": "a.png"}]
