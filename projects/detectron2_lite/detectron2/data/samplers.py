"""Samplers that split the indices of a data set over all processes, not over loaders' workers."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
from detectron2.utils import comm
from torch.utils.data import Sampler

__all__ = ["InferenceSampler", "TrainingSampler"]


class TrainingSampler(Sampler):
    """Epoch after epoch without end, dealt out to the processes one index at a time."""

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None) -> None:
        """Without `seed`, the processes agree on one: a collective call."""
        if size < 1:
            raise ValueError(f"size of the dataset must be positive, got {size}")
        self._size = size
        self._shuffle = shuffle
        self._seed = comm.shared_random_seed() if seed is None else int(seed)
        self._rank, self._world_size = comm.get_rank(), comm.get_world_size()

    def __iter__(self) -> Iterator[int]:
        return islice(self._epochs(), self._rank, None, self._world_size)

    def _epochs(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        order = partial(torch.randperm, generator=generator) if self._shuffle else torch.arange
        while True:
            yield from order(self._size).tolist()


class InferenceSampler(Sampler):
    """Every index once, in contiguous parts as equal as possible."""

    def __init__(self, size: int) -> None:
        assert size > 0, f"size of the dataset must be positive, got {size}"
        each, extra = divmod(size, comm.get_world_size())
        rank = comm.get_rank()
        begin = rank * each + min(rank, extra)  # the first `extra` processes take one more
        self._indices = range(begin, begin + each + (rank < extra))

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
