"""Training data as an endless stream that is the same for any number of workers and processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from detectron2.data import DatasetFromList
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset, Sampler

from ..structures import LabelSpace
from ..utils.errors import LangDGError, require_whole
from ..utils.seeding import SEEDS, derived_seed, globally_seeded
from .label_sample import check_labels
from .sources import SourceTurns
from .unreadable import ReadableImages
from .worker_signals import leave_signals_to_training

Example = dict[str, Any]


class TrainingStream(Dataset[Example]):
    """Epoch after epoch of a data set, each in a random order of its own.

    What lies at a position depends on the seed and the position alone, whoever asks for it.

    Args:
        dataset: dataset dicts.
        mapper: its randomness must be global, as in Detectron2's augmentations.
        seed: of the orders and of the mapper's randomness; not negative.
        unreadable_limit: see `ReadableImages`.
        source_weights: how often images of each source are seen, in proportion, by the `source` of
            the dataset dicts; every source has epochs of its own then. None for one pool of all.

    Raises:
        LangDGError: for weights of other sources than there are, or that are not positive.
    """

    def __init__(
        self,
        *,
        dataset: Sequence[Example],
        mapper: Callable[[Example], Example],
        seed: int,
        unreadable_limit: int = 0,
        source_weights: Mapping[str, float] | None = None,
    ) -> None:
        records = list(dataset)
        shared = DatasetFromList(records, copy=False)  # by the workers, instead of copied
        self._images = ReadableImages(dataset=shared, mapper=mapper, limit=unreadable_limit)
        self._seed = seed
        self._turns: SourceTurns | None = None
        self._pools = {"": torch.arange(len(records))}  # places in the data set by source
        if source_weights is not None:
            sources = [str(record.get("source")) for record in records]
            self._turns = SourceTurns(weights=source_weights, sources={*sources}, seed=seed)
            self._pools = {
                name: torch.tensor([k for k, source in enumerate(sources) if source == name])
                for name in source_weights
            }
        self._epochs: dict[str, tuple[int, torch.Tensor]] = {}  # the latest, and its order

    def __getitem__(self, position: int) -> Example:
        source, number = self._turns[position] if self._turns else ("", position)
        index = self._image(source, number)
        with globally_seeded(derived_seed(self._seed, position, purpose="example")):
            return self._images[index]

    def _image(self, source: str, number: int) -> int:
        """Place in the data set of the image of a source that is the n-th to be seen of it."""
        pool = self._pools[source]
        epoch, place = divmod(number, len(pool))
        if source not in self._epochs or self._epochs[source][0] != epoch:
            seed = derived_seed(self._seed, epoch, purpose=f"order {source}".strip())
            generator = torch.Generator().manual_seed(seed)
            self._epochs[source] = epoch, pool[torch.randperm(len(pool), generator=generator)]
        return int(self._epochs[source][1][place])


class _SharedBatches(Sampler[list[int]]):
    """This process's positions of every batch, from one on."""

    def __init__(self, first: int, size: int) -> None:
        self._first = first
        self._size = size

    def __iter__(self) -> Iterator[list[int]]:
        rank, processes = comm.get_rank(), comm.get_world_size()
        for begin in count(self._first * self._size, self._size):
            yield list(range(begin + rank, begin + self._size, processes))


def training_loader(
    *,
    dataset: Sequence[Example],
    mapper: Callable[[Example], Example],
    total_batch_size: int,
    seed: int,
    first_batch: int = 0,
    unreadable_limit: int = 0,
    source_weights: Mapping[str, float] | None = None,
    num_workers: int = 0,
    classes: LabelSpace | None = None,
    **options: Any,
) -> DataLoader:
    """An endless loader of lists of mapped dataset dicts.

    Args: those of `TrainingStream`, and
        total_batch_size: images in a batch, shared by all processes.
        seed: a negative one draws one; then every process must call this.
        first_batch: number of the first batch; those before it cost nothing.
        num_workers: processes that read and map.
        classes: of the model; see `check_labels`.
        options: further ones of torch's `DataLoader`.

    Raises:
        LangDGError: if the processes cannot share the batch equally, and as `TrainingStream`.
        DatasetError: if the labels seem wrong, see `check_labels`.
    """
    require_whole("dataloader.train.total_batch_size", total_batch_size)
    require_whole("dataloader.train.num_workers", num_workers, 0)
    require_whole("dataloader.train.seed", seed, -SEEDS, SEEDS - 1)
    if total_batch_size % (processes := comm.get_world_size()):
        raise LangDGError(
            f"dataloader.train.total_batch_size is {total_batch_size}, expected a multiple of the "
            f"{processes} processes that share it (--num-gpus)"
        )
    check_labels(dataset, required=True, classes=classes)
    seed = seed if seed >= 0 else comm.shared_random_seed()
    stream = TrainingStream(
        dataset=dataset,
        mapper=mapper,
        seed=seed,
        unreadable_limit=unreadable_limit,
        source_weights=source_weights,
    )
    return DataLoader(
        stream,
        batch_sampler=_SharedBatches(first_batch, total_batch_size),
        num_workers=num_workers,
        collate_fn=list,
        worker_init_fn=leave_signals_to_training,
        # The loader draws a seed for its workers, which must not come out of the global randomness.
        generator=torch.Generator(),
        **options,
    )
