"""Wrappers around data sets: a list, a mapped data set, a sampled stream."""

import copy
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info


class _PickledList(Sequence):
    """A list as one tensor of bytes, which loaders' workers share instead of copying it."""

    def __init__(self, elements: Sequence[Any]) -> None:
        pickles = [pickle.dumps(element, protocol=pickle.HIGHEST_PROTOCOL) for element in elements]
        self._bounds = torch.tensor([0, *accumulate(map(len, pickles))])
        self._bytes = torch.frombuffer(bytearray().join(pickles), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, idx: Any) -> Any:
        return pickle.loads(self._bytes[self._bounds[idx] : self._bounds[idx + 1]].numpy().data)


class DatasetFromList(Dataset):
    """A list whose elements are handed out as copies."""

    def __init__(self, lst: list[Any], copy: bool = True, serialize: bool = True) -> None:
        """With `serialize` the list is kept as bytes, and every access makes a new object."""
        self._copy = copy and not serialize
        self._lst: Sequence[Any] = _PickledList(lst) if serialize else lst

    def __len__(self) -> int:
        return len(self._lst)

    def __getitem__(self, idx: int) -> Any:
        element = self._lst[idx]
        return copy.deepcopy(element) if self._copy else element


class MapDataset(Dataset):
    """A function of the elements. Where it gives None, a random other element stands in."""

    def __init__(self, dataset: Any, map_func: Callable[[Any], Any]) -> None:
        if isinstance(dataset, IterableDataset):
            raise TypeError(f"{dataset} is iterable; only the real Detectron2 maps streams")
        self._dataset = dataset
        self._map_func = map_func
        self._rng = random.Random(42)
        self._candidates = set(range(len(dataset)))

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, idx: int) -> Any:
        current = int(idx)
        while (mapped := self._map_func(self._dataset[current])) is None:
            self._candidates.discard(current)
            if not self._candidates:
                raise ValueError(f"{self._map_func} rejected all {len(self)} elements")
            current = self._rng.choice(list(self._candidates))
        self._candidates.add(current)
        return mapped


class ToIterableDataset(IterableDataset):
    """The elements of a data set in a sampler's order, dealt out to a loader's workers."""

    def __init__(
        self,
        dataset: Dataset,
        sampler: Sampler,
        shard_sampler: bool = True,
        shard_chunk_size: int = 1,
    ) -> None:
        """The sampler runs in every worker; chunks of a batch keep batches as without workers."""
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
