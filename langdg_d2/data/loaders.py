"""Loaders of training, mining and evaluation.

A position of the training stream and a batch of mining depend on the seed and their number alone,
not on the numbers of workers and processes or on what was loaded before: so runs can be resumed.
"""

import logging
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from os import _exit, getppid
from typing import Any

import torch
import torch.distributed as dist
from detectron2.data import DatasetFromList, build_detection_test_loader
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset, Sampler

from ..structures import LabelSpace
from ..utils.errors import LangDGError, require_int
from ..utils.seeding import SEEDS, derived_seed, globally_seeded
from .image_io import ImageFileError
from .label_sample import check_labels
from .rare_classes import RareClasses
from .sources import Example, SourceTurns, images_fingerprint

Mapper = Callable[[Example], Example]

_logger = logging.getLogger(__name__)


def training_loader(
    *,
    dataset: Sequence[Example],
    mapper: Mapper,
    total_batch_size: int,
    seed: int,
    first_batch: int = 0,
    unreadable_limit: int = 0,
    source_weights: Mapping[str, float] | None = None,
    rare_classes: RareClasses | None = None,
    num_workers: int = 0,
    classes: LabelSpace | None = None,
    **options: Any,
) -> DataLoader:
    """An endless loader of lists of mapped dataset dicts; every process must call this.

    Args: those of `TrainingStream`, whose `rare_classes` are prepared here, and
        total_batch_size: images in a batch, shared by all processes.
        seed: seed of the stream; -1 or less draws one.
        first_batch: number of the first batch; earlier ones cost nothing.
        num_workers: processes that read and map.
        classes: classes of the model, which the labels must have; see `check_labels`.
        options: further options of torch's `DataLoader`.
    """
    require_int("dataloader.train.total_batch_size", total_batch_size)
    require_int("dataloader.train.num_workers", num_workers, 0)
    require_int("dataloader.train.seed", seed, -SEEDS, SEEDS - 1)
    if total_batch_size % (processes := comm.get_world_size()):
        raise LangDGError(
            f"dataloader.train.total_batch_size is {total_batch_size}, expected a multiple of the "
            f"{processes} processes that share it (--num-gpus)"
        )
    require_same_images(dataset)
    check_labels(dataset, required=True, classes=classes)
    if rare_classes is not None:
        if classes is None:
            raise LangDGError("rare classes can only be found with dataloader.train.classes")
        rare_classes.prepare(dataset, len(classes))
    seed = seed if seed >= 0 else comm.shared_random_seed()
    stream = TrainingStream(
        dataset=dataset,
        mapper=mapper,
        seed=seed,
        unreadable_limit=unreadable_limit,
        source_weights=source_weights,
        rare_classes=rare_classes,
    )
    return DataLoader(
        stream,
        batch_sampler=_SharedBatches(first_batch, total_batch_size),
        num_workers=num_workers,
        collate_fn=list,
        worker_init_fn=leave_signals_to_training,
        # The loader draws a seed for its workers, which must not consume global randomness.
        generator=torch.Generator(),
        **options,
    )


def require_same_images(dataset: Sequence[Example]) -> None:
    """Refuse a data set that differs between the processes; every process must call this."""
    if not dist.is_initialized():
        return
    # Processes that trained on different copies would split their batches differently.
    files = [record for record in dataset if "file_name" in record]
    found = comm.all_gather(images_fingerprint(files) if files else f"{len(dataset)} images")
    if len({*found}) > 1:
        raise LangDGError(
            f"the processes find different images ({'; '.join(found)}): let all of them read the "
            "same copy of the data sets (DETECTRON2_DATASETS)"
        )


class TrainingStream(Dataset[Example]):
    """Epoch after epoch of a data set, each in a random order of its own.

    Args:
        dataset: dataset dicts.
        mapper: function of a dataset dict; its randomness must be global, as in Detectron2's
            augmentations.
        seed: seed of the orders and of the mapper's randomness; not negative.
        unreadable_limit: see `ReadableImages`.
        source_weights: how often images of each source are seen, in proportion, by the `source` of
            the dataset dicts; every source then has epochs of its own. None for one pool of all.
        rare_classes: draws the images in place of epochs, see `RareClasses.prepare`; None for
            epochs.
    """

    def __init__(
        self,
        *,
        dataset: Sequence[Example],
        mapper: Mapper,
        seed: int,
        unreadable_limit: int = 0,
        source_weights: Mapping[str, float] | None = None,
        rare_classes: RareClasses | None = None,
    ) -> None:
        if rare_classes is not None and source_weights is not None:
            raise LangDGError(
                "dataloader.train has source_weights and rare_classes, which draw the images each "
                "in their way: set one of them to null"
            )
        records = list(dataset)
        # Serialized into one array, which workers share instead of copying it.
        shared = DatasetFromList(records, copy=False)
        self._images = ReadableImages(dataset=shared, mapper=mapper, limit=unreadable_limit)
        self._seed = seed
        self._rare_classes = rare_classes
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
        index = self._index(position)
        with globally_seeded(derived_seed(self._seed, position, purpose="example")):
            return self._images[index]

    def _index(self, position: int) -> int:
        """Place in the data set of the image at a position."""
        if self._rare_classes is not None:
            return self._rare_classes.image(derived_seed(self._seed, position, purpose="class"))
        source, number = self._turns[position] if self._turns else ("", position)
        pool = self._pools[source]
        epoch, place = divmod(number, len(pool))
        # Positions mostly rise, so the order of one epoch at a time is kept.
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
        # Together the processes have the batch that one process would have.
        for begin in count(self._first * self._size, self._size):
            yield list(range(begin + rank, begin + self._size, processes))


class SeededBatches(Dataset[list[Example]]):
    """One pass over a data set in random order, cut into batches; an incomplete one is dropped.

    Args:
        dataset: dataset dicts.
        mapper: as of `TrainingStream`.
        batch_size: images in a batch.
        seed: seed of the order and of the mapper's randomness; not negative.
        unreadable_limit: see `ReadableImages`.
        classes: classes of the model, which the labels must have; see `check_labels`.
        max_batches: maximum number of batches; None for all that the data set fills.
    """

    def __init__(
        self,
        *,
        dataset: Sequence[Example],
        mapper: Mapper,
        batch_size: int,
        seed: int,
        unreadable_limit: int = 0,
        max_batches: int | None = None,
        classes: LabelSpace | None = None,
    ) -> None:
        if not 0 < batch_size <= len(dataset):
            raise LangDGError(
                f"{len(dataset)} images cannot fill a batch of {batch_size}: set "
                f"styles.mining.batches.batch_size to 1..{len(dataset)}"
            )
        require_int("styles.seed", seed, 0)
        if max_batches is not None:
            require_int("styles.mining.batches.max_batches", max_batches)
        check_labels(dataset, required=True, classes=classes)
        self._dataset = dataset
        self._readable = ReadableImages(dataset=dataset, mapper=mapper, limit=unreadable_limit)
        self._batch_size = batch_size
        self._max_batches = max_batches
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(dataset), generator=generator).tolist()

    @property
    def fingerprint(self) -> str:
        """See `images_fingerprint`."""
        return images_fingerprint(self._dataset)

    def __len__(self) -> int:
        filled = len(self._dataset) // self._batch_size
        return filled if self._max_batches is None else min(filled, self._max_batches)

    def __getitem__(self, number: int) -> list[Example]:
        start = number * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        with globally_seeded(derived_seed(self.seed, number)):
            return [self._readable[index] for index in chosen]


def evaluation_loader(
    *, dataset: Sequence[Example], classes: LabelSpace | None = None, **options: Any
) -> DataLoader:
    """Detectron2's test loader, whose workers leave signals to the process that evaluates.

    Args:
        dataset: dataset dicts, with labels or without.
        classes: classes of the model, which labels must have; see `check_labels`.
        options: options of `build_detection_test_loader`.
    """
    require_same_images(dataset)
    check_labels(dataset, required=False, classes=classes)
    loader = build_detection_test_loader(dataset=dataset, **options)
    # Detectron2's builder has no argument for it.
    loader.worker_init_fn = leave_signals_to_training
    return loader


class ReadableImages(Dataset[Example]):
    """A mapped data set in which other images stand in for those that cannot be read.

    Which one stands in depends on an image's place in the data set and on what can be read, not on
    randomness or on what was asked for before. Every unreadable image is logged once, as a
    warning, and not tried again.

    Args:
        dataset: dataset dicts with `file_name`.
        mapper: raises `ImageFileError` for what cannot be used.
        limit: maximum of unreadable images in this process and its loaders' workers together;
            with 0 the first error is raised as it is.
    """

    def __init__(self, *, dataset: Sequence[Example], mapper: Mapper, limit: int) -> None:
        require_int("unreadable_limit", limit, 0)
        self._dataset = dataset
        self._mapper = mapper
        self._limit = limit
        # An image of the same source stands in, so that the sources keep their shares.
        self._of_source: dict[str | None, list[int]] = {}
        for k, record in enumerate(dataset if limit else ()):
            self._of_source.setdefault(record.get("source"), []).append(k)
        for source, places in self._of_source.items():
            if len(places) <= limit:
                of_source = f" of source '{source}'" if source else ""
                raise LangDGError(
                    f"unreadable_limit {limit} of {len(places)} images{of_source}: choose one from "
                    "0, which allows none, up to less than all of them"
                )
        # In memory that is shared with the loaders' workers.
        self._unreadable = torch.zeros(len(dataset) if limit else 0, dtype=torch.bool)
        self._unreadable.share_memory_()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        """The mapped image of a place, or the one that stands in for it.

        Raises:
            ImageFileError: if more images than the limit cannot be read; names all of them.
        """
        if not self._limit:
            return self._mapper(self._dataset[index])
        # Seeded with the place: each process and each epoch chooses the same.
        place, others = index, random.Random(index)
        while True:
            if not self._unreadable[place]:
                try:
                    return self._mapper(self._dataset[place])
                except ImageFileError as error:
                    self._count(place, error)
            place = others.choice(self._of_source[self._dataset[index].get("source")])

    def _count(self, place: int, error: ImageFileError) -> None:
        self._unreadable[place] = True
        places = self._unreadable.nonzero().flatten().tolist()
        if len(places) > self._limit:
            names = ", ".join(f"'{self._dataset[k]['file_name']}'" for k in places)
            raise ImageFileError(
                f"{len(places)} images cannot be used, more than dataloader.train.unreadable_limit "
                f"{self._limit} allows: {names}. The last: {error}. Repair them, "
                "tools/check_dataset.py finds all there are, or allow more"
            ) from error
        _logger.warning(
            "another image stands in for an unreadable one, %d of at most %d: %s",
            *(len(places), self._limit, error),
        )


def leave_signals_to_training(_: int) -> None:
    """Let a loader's worker end when its training process does, not by signals to the group.

    Ctrl-C and schedulers signal the workers as well, whose images the training process still
    needs to end cleanly.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # SIGTERM of the parent ends the worker; only `sigwaitinfo` says who sent it.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != getppid():
        pass
    _exit(128 + signal.SIGTERM)
