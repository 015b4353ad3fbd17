"""Samplers that split the indices of a data set over all processes of a job.

None of them looks at data loader workers; `ToIterableDataset` deals the indices out to those.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
from detectron2.utils import comm
from torch.utils.data import Sampler


class TrainingSampler(Sampler):
    """An endless stream of epochs, of which process r of n takes every n-th index from the r-th.

    Args:
        size: number of elements of the data set, at least 1.
        shuffle: a new permutation in every epoch, else ascending order.
        seed: of the permutations; has to agree in all processes. None: drawn and shared among
            them, a collective call.
    """

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None) -> None:
        if not isinstance(size, int):
            raise TypeError(f"size of the dataset must be an int, got {size!r}")
        if size < 1:
            raise ValueError(f"size of the dataset must be positive, got {size}")
        self._size = size
        self._shuffle = shuffle
        self._seed = int(comm.shared_random_seed() if seed is None else seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()

    def __iter__(self) -> Iterator[int]:
        return islice(self._epochs(), self._rank, None, self._world_size)

    def _epochs(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        order = partial(torch.randperm, generator=generator) if self._shuffle else torch.arange
        while True:
            yield from order(self._size).tolist()


class InferenceSampler(Sampler):
    """Every index exactly once over all processes, in contiguous parts as equal as possible.

    Args:
        size: number of elements of the data set, at least 1.
    """

    def __init__(self, size: int) -> None:
        assert size > 0, f"size of the dataset must be positive, got {size}"
        each, extra = divmod(size, comm.get_world_size())
        rank = comm.get_rank()
        begin = rank * each + min(rank, extra)  # the first `extra` processes take one more
        self._local_indices = range(begin, begin + each + (rank < extra))

    def __iter__(self) -> Iterator[int]:
        return iter(self._local_indices)

    def __len__(self) -> int:
        return len(self._local_indices)
