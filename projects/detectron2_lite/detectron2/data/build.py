"""Records and data loaders for training and testing, in the form that takes built objects."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

import torch
from detectron2.utils.comm import get_world_size
from detectron2.utils.env import seed_all_rng
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Sampler

from .catalog import DatasetCatalog
from .common import AspectRatioGroupedDataset, DatasetFromList, MapDataset, ToIterableDataset
from .samplers import InferenceSampler, TrainingSampler

logger = logging.getLogger(__name__)

Mapper = Callable[[dict[str, Any]], Any]
Collate = Callable[[list[Any]], Any]


def get_detection_dataset_dicts(names: str | list[str], filter_empty: bool = True) -> Any:
    """Load registered data sets and join their records.

    Args:
        names: one name or several.
        filter_empty: drop records that carry "annotations" but only of crowds. Records without
            this key, as in semantic segmentation, are never dropped.

    Returns:
        The list of all records; where a loader gives a torch data set instead, that data set
        or the concatenation of several.

    Raises:
        KeyError: a name is not registered.
        AssertionError: no name, or no record.
    """
    names = [names] if isinstance(names, str) else names
    assert len(names), "expected the name of at least one dataset"
    loaded: list[Any] = [DatasetCatalog.get(name) for name in names]
    if isinstance(loaded[0], Dataset):
        return loaded[0] if len(loaded) == 1 else ConcatDataset(loaded)
    for name, records in zip(names, loaded, strict=True):
        assert len(records), f"dataset {name!r} has no records"

    joined = list(chain.from_iterable(loaded))
    if filter_empty and "annotations" in joined[0]:
        joined = [r for r in joined if any(not a.get("iscrowd", 0) for a in r["annotations"])]
        assert joined, f"no record of {names} has an annotation that is not a crowd"
    return joined


def build_batch_data_loader(
    dataset: Dataset,
    sampler: Sampler | None,
    total_batch_size: int | None,
    *,
    aspect_ratio_grouping: bool = False,
    num_workers: int = 0,
    collate_fn: Collate | None = None,
    drop_last: bool = True,
    single_gpu_batch_size: int | None = None,
    prefetch_factor: int = 2,
    seed: int | None = None,
    **kwargs: Any,
) -> Any:
    """A data loader whose batches are lists of samples.

    Args:
        dataset: map-style, or iterable and then without sampler.
        sampler: the indices of a map-style data set.
        total_batch_size: samples of a step over all processes; a multiple of their number.
        single_gpu_batch_size: samples of a step in this process, instead of the total.
        aspect_ratio_grouping: see `build_detection_train_loader`.
        num_workers: loading processes; 0 loads in this one.
        collate_fn: from the list of samples to the batch; None keeps the list.
        drop_last: leave out a last batch that is not full.
        prefetch_factor: batches each worker keeps ready.
        seed: of the generator that seeds the workers.
        kwargs: anything else `torch.utils.data.DataLoader` takes.

    Raises:
        ValueError: both batch sizes are given.
        AssertionError: the batch cannot be split evenly, or sampler and data set do not match.
    """
    batch_size = _local_batch_size(total_batch_size, single_gpu_batch_size)
    if isinstance(dataset, IterableDataset):
        assert sampler is None, "an iterable dataset decides its order itself, drop the sampler"
    else:
        assert sampler is not None, "a map-style dataset needs a sampler"
        dataset = ToIterableDataset(dataset, sampler, shard_chunk_size=batch_size)

    options = dict(
        kwargs,
        num_workers=num_workers,
        worker_init_fn=worker_init_reset_seed,
        prefetch_factor=prefetch_factor if num_workers else None,
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )
    if aspect_ratio_grouping:
        assert drop_last, "grouping by aspect ratio leaves incomplete batches out"
        singles: Any = DataLoader(dataset, collate_fn=itemgetter(0), **options)
        batches: Any = AspectRatioGroupedDataset(singles, batch_size)
        return batches if collate_fn is None else MapDataset(batches, collate_fn)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        drop_last=drop_last,
        collate_fn=collate_fn or trivial_batch_collator,
        **options,
    )


def build_detection_train_loader(
    dataset: list[dict[str, Any]] | Dataset,
    *,
    mapper: Mapper | None,
    sampler: Sampler | None = None,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    **kwargs: Any,
) -> Any:
    """An endless loader of shuffled batches.

    Args:
        dataset: records, or a torch data set.
        mapper: from a record to a sample; None keeps the records.
        sampler: None makes a `TrainingSampler` for a map-style data set.
        total_batch_size: samples of a step over all processes.
        aspect_ratio_grouping: batch wide images with wide ones; samples then need "width" and
            "height".
        kwargs: `num_workers`, `collate_fn` and the others of `build_batch_data_loader`.
    """
    mapped = _mapped(dataset, mapper)
    if sampler is None and not isinstance(mapped, IterableDataset):
        sampler = TrainingSampler(len(mapped))
    return build_batch_data_loader(
        mapped,
        sampler,
        total_batch_size,
        aspect_ratio_grouping=aspect_ratio_grouping,
        **kwargs,
    )


def build_detection_test_loader(
    dataset: list[dict[str, Any]] | Dataset,
    *,
    mapper: Mapper | None,
    sampler: Sampler | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Collate | None = None,
) -> DataLoader:
    """A loader that gives every sample once, split over all processes by `InferenceSampler`.

    Args:
        dataset, mapper, sampler, num_workers, collate_fn: as in training.
        batch_size: samples of a step in this process; the last batch may be smaller.
    """
    mapped = _mapped(dataset, mapper)
    if isinstance(mapped, IterableDataset):
        assert sampler is None, "an iterable dataset decides its order itself, drop the sampler"
    elif sampler is None:
        sampler = InferenceSampler(len(mapped))
    return DataLoader(
        mapped,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate_fn or trivial_batch_collator,
    )


def trivial_batch_collator(batch: list[Any]) -> list[Any]:
    """The batch as it is: a list of samples."""
    return batch


def worker_init_reset_seed(worker_id: int) -> None:
    """Seed NumPy, PyTorch and `random` in a worker; PyTorch alone would leave NumPy's out."""
    seed_all_rng(torch.initial_seed() % 2**31 + worker_id)


def _mapped(dataset: Any, mapper: Mapper | None) -> Any:
    data = DatasetFromList(dataset, copy=False) if isinstance(dataset, list) else dataset
    return data if mapper is None else MapDataset(data, mapper)


def _local_batch_size(total: int | None, single: int | None) -> int:
    if single:
        if total:
            raise ValueError(f"give one of the batch sizes: in total {total}, per process {single}")
        return single
    world_size = get_world_size()
    per_process, left_over = divmod(total or 0, world_size)
    assert per_process > 0 == left_over, (
        f"total batch size {total} cannot be split evenly over {world_size} processes"
    )
    return per_process
