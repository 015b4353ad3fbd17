"""Wrappers around data sets: a list, a mapped data set, a stream of sampled elements."""

from __future__ import annotations

import copy
import logging
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info

logger = logging.getLogger(__name__)


class _SerializedList(Sequence):
    """A read-only list pickled into one byte tensor.

    Forked workers share the tensor's pages: reading an element touches no reference count of the
    parent's objects, so nothing is copied. With "spawn", PyTorch moves it to shared memory.
    """

    def __init__(self, elements: Sequence[Any]) -> None:
        pickles = [pickle.dumps(x, protocol=pickle.HIGHEST_PROTOCOL) for x in elements]
        self._bounds = torch.tensor([0, *accumulate(map(len, pickles))], dtype=torch.int64)
        self._bytes = torch.frombuffer(bytearray().join(pickles), dtype=torch.uint8)
        logger.info("%d elements take %.2f MiB", len(pickles), len(self._bytes) / 2**20)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, idx: Any) -> Any:
        start, stop = self._bounds[idx], self._bounds[idx + 1]
        return pickle.loads(self._bytes[start:stop].numpy().data)


class DatasetFromList(Dataset):
    """A list as a map-style data set.

    Args:
        lst: the elements.
        copy: hand out deep copies, so that callers may edit them.
        serialize: keep the elements as bytes that worker processes share (each access then gives
            a fresh object anyway), or a function from the list to such a container.
    """

    def __init__(
        self,
        lst: list[Any],
        copy: bool = True,
        serialize: bool | Callable[[list[Any]], Sequence[Any]] = True,
    ) -> None:
        if not isinstance(serialize, bool) and not callable(serialize):
            raise TypeError(f"serialize must be a bool or a function, got {serialize!r}")
        self._copy = copy and serialize is False
        pack = _SerializedList if serialize is True else serialize
        self._lst: Sequence[Any] = pack(lst) if callable(pack) else lst

    def __len__(self) -> int:
        return len(self._lst)

    def __getitem__(self, idx: int) -> Any:
        element = self._lst[idx]
        return copy.deepcopy(element) if self._copy else element


class _MappedStream(IterableDataset):
    """`map_func` over a stream; elements mapped to None are left out."""

    def __init__(self, dataset: Iterable[Any], map_func: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._map_func = map_func

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return (y for x in self._dataset if (y := self._map_func(x)) is not None)


class MapDataset(Dataset):
    """A function over the elements of a data set; an iterable one gives an iterable one.

    The function may return None to reject an element. A map-style data set then answers with
    another element, drawn at random from those not rejected so far; a stream goes on to the next.
    """

    def __new__(cls, dataset: Any, map_func: Callable[[Any], Any]) -> Any:
        if isinstance(dataset, IterableDataset):
            return _MappedStream(dataset, map_func)
        return super().__new__(cls)

    def __init__(self, dataset: Any, map_func: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._map_func = map_func
        self._rng = random.Random(42)
        self._candidates = set(range(len(dataset)))

    def __getnewargs__(self) -> tuple[Any, Callable[[Any], Any]]:
        return self._dataset, self._map_func

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, idx: int) -> Any:
        current, rejected = int(idx), 0
        while (mapped := self._map_func(self._dataset[current])) is None:
            rejected += 1
            self._candidates.discard(current)
            if not self._candidates:
                raise ValueError(f"{self._map_func} rejected all {len(self)} elements")
            if rejected >= 3:
                logger.warning("%d elements rejected in place of element %s", rejected, idx)
            current = self._rng.choice(list(self._candidates))
        self._candidates.add(current)
        return mapped


class ToIterableDataset(IterableDataset):
    """The elements of a map-style data set in the order of a sampler.

    Args:
        dataset: map-style.
        sampler: gives the indices; it is run in every worker and so has to be cheap.
        shard_sampler: let each worker of a data loader keep only its part of the indices. Without
            it all workers yield the same elements, unless the sampler splits them itself.
        shard_chunk_size: the parts are dealt in runs of this many successive indices. With the
            batch size here, batches hold what they would hold without workers.
    """

    def __init__(
        self,
        dataset: Dataset,
        sampler: Sampler,
        shard_sampler: bool = True,
        shard_chunk_size: int = 1,
    ) -> None:
        assert not isinstance(dataset, IterableDataset), f"{dataset} is iterable already"
        assert isinstance(sampler, Sampler), f"expected a Sampler, got {sampler!r}"
        self.dataset = dataset
        self.sampler = sampler
        self.shard_sampler = shard_sampler
        self.shard_chunk_size = shard_chunk_size

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info() if self.shard_sampler else None
        for position, idx in enumerate(self.sampler):
            turn = position // self.shard_chunk_size
            if worker is None or turn % worker.num_workers == worker.id:
                yield self.dataset[idx]


class AspectRatioGroupedDataset(IterableDataset):
    """Batches of a stream whose images are all wide, or all not wide, to save padding.

    Args:
        dataset: yields dicts with "width" and "height".
        batch_size: the length of every list that is yielded.
    """

    def __init__(self, dataset: Iterable[dict[str, Any]], batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self._waiting: dict[bool, list[dict[str, Any]]] = {True: [], False: []}

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        for sample in self.dataset:
            is_wide = sample["width"] > sample["height"]
            self._waiting[is_wide].append(sample)
            if len(self._waiting[is_wide]) == self.batch_size:
                # Emptied before the yield: the code after it may never run.
                batch, self._waiting[is_wide] = self._waiting[is_wide], []
                yield batch
