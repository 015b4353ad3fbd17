"""Records and data loaders, in the form that takes built objects."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from detectron2.utils.comm import get_world_size
from detectron2.utils.env import seed_all_rng
from torch.utils.data import DataLoader, Dataset, Sampler

from .catalog import DatasetCatalog
from .common import DatasetFromList, MapDataset, ToIterableDataset
from .samplers import InferenceSampler, TrainingSampler

Records = list[dict[str, Any]]


def get_detection_dataset_dicts(
    names: str | list[str],
    filter_empty: bool = True,
    min_keypoints: int = 0,
    proposal_files: list[str] | None = None,
    check_consistency: bool = True,
) -> Records:
    """The records of registered data sets, by default without those of crowds alone.

    Keypoints and proposals are for detection, which only the real Detectron2 has; so is what would
    be checked.
    """
    if min_keypoints or proposal_files:
        raise NotImplementedError("only the real Detectron2 has min_keypoints and proposal_files")
    names = [names] if isinstance(names, str) else names
    assert len(names), "expected the name of at least one dataset"
    loaded = [DatasetCatalog.get(name) for name in names]
    for name, records in zip(names, loaded, strict=True):
        assert len(records), f"dataset {name!r} has no records"
    joined = list(chain.from_iterable(loaded))
    if filter_empty and "annotations" in joined[0]:
        joined = [r for r in joined if any(not a.get("iscrowd", 0) for a in r["annotations"])]
        assert joined, f"no record of {names} has an annotation that is not a crowd"
    return joined


def build_batch_data_loader(
    dataset: Dataset,
    sampler: Sampler,
    total_batch_size: int,
    *,
    aspect_ratio_grouping: bool = False,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    drop_last: bool = True,
    single_gpu_batch_size: int | None = None,
    prefetch_factor: int | None = None,
    persistent_workers: bool = False,
    pin_memory: bool = False,
    seed: int | None = None,
    **kwargs: Any,
) -> DataLoader:
    """A loader of lists of samples, in all processes together `total_batch_size` a step.

    `single_gpu_batch_size`, those of one process, takes the place of it.
    """
    if single_gpu_batch_size:
        assert not total_batch_size, "total_batch_size and single_gpu_batch_size exclude each other"
        total_batch_size = single_gpu_batch_size * get_world_size()
    if aspect_ratio_grouping:
        raise NotImplementedError("only the real Detectron2 has aspect_ratio_grouping; pass False")
    batch_size, left_over = divmod(total_batch_size, get_world_size())
    assert batch_size > 0 == left_over, (
        f"total_batch_size {total_batch_size} must be a multiple of {get_world_size()} processes"
    )
    return DataLoader(
        ToIterableDataset(dataset, sampler, shard_chunk_size=batch_size),
        batch_size=batch_size,
        drop_last=drop_last,
        num_workers=num_workers,
        collate_fn=collate_fn or trivial_batch_collator,
        worker_init_fn=worker_init_reset_seed,
        generator=None if seed is None else torch.Generator().manual_seed(seed),
        prefetch_factor=prefetch_factor,
        persistent_workers=persistent_workers,
        pin_memory=pin_memory,
        **kwargs,
    )


def build_detection_train_loader(
    dataset: Records | Dataset,
    *,
    mapper: Callable[[dict[str, Any]], Any] | None,
    sampler: Sampler | None = None,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    **kwargs: Any,
) -> DataLoader:
    """An endless loader of mapped records, shuffled unless a sampler says otherwise.

    `aspect_ratio_grouping` has to be False; its default is that of the real one.
    """
    mapped = _mapped(dataset, mapper)
    sampler = TrainingSampler(len(mapped)) if sampler is None else sampler
    return build_batch_data_loader(
        mapped,
        sampler,
        total_batch_size,
        aspect_ratio_grouping=aspect_ratio_grouping,
        num_workers=num_workers,
        collate_fn=collate_fn,
        **kwargs,
    )


def build_detection_test_loader(
    dataset: Records | Dataset,
    *,
    mapper: Callable[[dict[str, Any]], Any] | None,
    sampler: Sampler | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
) -> DataLoader:
    """A loader of every mapped record once, `batch_size` a step in this process."""
    mapped = _mapped(dataset, mapper)
    return DataLoader(
        mapped,
        batch_size=batch_size,
        sampler=InferenceSampler(len(mapped)) if sampler is None else sampler,
        num_workers=num_workers,
        collate_fn=collate_fn or trivial_batch_collator,
    )


def trivial_batch_collator(batch: list[Any]) -> list[Any]:
    """The list of samples as it is."""
    return batch


def worker_init_reset_seed(worker_id: int) -> None:
    """Seed all generators of a worker; PyTorch would leave NumPy's out."""
    seed_all_rng(torch.initial_seed() % 2**31 + worker_id)


def _mapped(dataset: Any, mapper: Callable[[dict[str, Any]], Any] | None) -> Any:
    data = DatasetFromList(dataset, copy=False) if isinstance(dataset, list) else dataset
    return data if mapper is None else MapDataset(data, mapper)
