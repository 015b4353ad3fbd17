"""Loaders for training, mining and evaluation.

Images of the training stream and batches of mining depend only on the seed and their position, not
on the numbers of workers and processes or on what was loaded before, so that runs can be resumed.
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
    """Build an endless loader of lists of mapped dataset dicts. Collective.

    Args: those of `TrainingStream`, whose `rare_classes` are prepared here, and
        total_batch_size: images per batch over all processes.
        seed: seed of the stream; a negative value draws one.
        first_batch: number of the first batch; earlier batches are skipped at no cost.
        num_workers: number of worker processes.
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
            raise LangDGError("rare-class sampling needs dataloader.train.classes")
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
        # The loader draws a seed for its workers, which must not advance the global generator.
        generator=torch.Generator(),
        **options,
    )


def require_same_images(dataset: Sequence[Example]) -> None:
    """Refuse a data set that differs between the processes. Collective."""
    if not dist.is_initialized():
        return
    # With different copies, processes would split their batches differently.
    files = [record for record in dataset if "file_name" in record]
    found = comm.all_gather(images_fingerprint(files) if files else f"{len(dataset)} images")
    if len({*found}) > 1:
        raise LangDGError(
            f"the processes find different images ({'; '.join(found)}): let all of them read the "
            "same copy of the data sets (DETECTRON2_DATASETS)"
        )


class TrainingStream(Dataset[Example]):
    """Endless epochs of a data set, each in its own random order.

    Args:
        dataset: dataset dicts.
        mapper: function of a dataset dict that uses global generators, like Detectron2's
            augmentations.
        seed: seed of the orders and of the mapper's randomness; not negative.
        unreadable_limit: see `ReadableImages`.
        source_weights: sampling weight of each source, by the `source` of the dataset dicts; every
            source then has its own epochs. None for one pool of all images.
        rare_classes: draws the images instead of epochs, see `RareClasses.prepare`; None for
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
                "dataloader.train has both source_weights and rare_classes, which draw images in "
                "different ways: set one of them to null"
            )
        records = list(dataset)
        # Serialized into one array, which workers share instead of copying.
        shared = DatasetFromList(records, copy=False)
        self._images = ReadableImages(dataset=shared, mapper=mapper, limit=unreadable_limit)
        self._seed = seed
        self._rare_classes = rare_classes
        self._turns: SourceTurns | None = None
        self._pools = {"": torch.arange(len(records))}  # indices in the data set by source
        if source_weights is not None:
            sources = [str(record.get("source")) for record in records]
            self._turns = SourceTurns(weights=source_weights, sources={*sources}, seed=seed)
            self._pools = {
                name: torch.tensor([k for k, source in enumerate(sources) if source == name])
                for name in source_weights
            }
        self._epochs: dict[str, tuple[int, torch.Tensor]] = {}  # the current epoch and its order

    def __getitem__(self, position: int) -> Example:
        index = self._index(position)
        with globally_seeded(derived_seed(self._seed, position, purpose="example")):
            return self._images[index]

    def _index(self, position: int) -> int:
        """Return the index in the data set of the image at a position."""
        if self._rare_classes is not None:
            return self._rare_classes.image(derived_seed(self._seed, position, purpose="class"))
        source, number = self._turns[position] if self._turns else ("", position)
        pool = self._pools[source]
        epoch, place = divmod(number, len(pool))
        # Positions mostly increase, so only the order of one epoch is kept.
        if source not in self._epochs or self._epochs[source][0] != epoch:
            seed = derived_seed(self._seed, epoch, purpose=f"order {source}".strip())
            generator = torch.Generator().manual_seed(seed)
            self._epochs[source] = epoch, pool[torch.randperm(len(pool), generator=generator)]
        return int(self._epochs[source][1][place])


class _SharedBatches(Sampler[list[int]]):
    """Positions of this process in every batch, from a first batch."""

    def __init__(self, first: int, size: int) -> None:
        self._first = first
        self._size = size

    def __iter__(self) -> Iterator[list[int]]:
        rank, processes = comm.get_rank(), comm.get_world_size()
        # All processes together have the batch of a single process.
        for begin in count(self._first * self._size, self._size):
            yield list(range(begin + rank, begin + self._size, processes))


class SeededBatches(Dataset[list[Example]]):
    """One pass over a data set in random order, in batches; an incomplete batch is dropped.

    Args:
        dataset: dataset dicts.
        mapper: as in `TrainingStream`.
        batch_size: images per batch.
        seed: seed of the order and of the mapper's randomness; not negative.
        unreadable_limit: see `ReadableImages`.
        classes: classes of the model, which the labels must have; see `check_labels`.
        max_batches: maximum number of batches; None for all.
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
        if not dataset:
            raise LangDGError("the data set to mine is empty, expected at least one image")
        if not 0 < batch_size <= len(dataset):
            raise LangDGError(
                f"{len(dataset)} images cannot fill a batch of {batch_size}: set "
                f"styles.mining.batches.batch_size to 1..{len(dataset)}"
            )
        require_int("styles.seed", seed, 0)
        if max_batches is not None:
            require_int("styles.mining.batches.max_batches", max_batches)
        check_labels(dataset, required=True, classes=classes)
        self._readable = ReadableImages(dataset=dataset, mapper=mapper, limit=unreadable_limit)
        self._batch_size = batch_size
        self._max_batches = max_batches
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(dataset), generator=generator).tolist()

    def __len__(self) -> int:
        filled = len(self._readable) // self._batch_size
        return filled if self._max_batches is None else min(filled, self._max_batches)

    def __getitem__(self, number: int) -> list[Example]:
        start = number * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        with globally_seeded(derived_seed(self.seed, number)):
            return [self._readable[index] for index in chosen]


def evaluation_loader(
    *, dataset: Sequence[Example], classes: LabelSpace | None = None, **options: Any
) -> DataLoader:
    """Build Detectron2's test loader, with workers that leave signals to the main process.

    Args:
        dataset: dataset dicts, with or without labels.
        classes: classes of the model, which labels must have; see `check_labels`.
        options: options of `build_detection_test_loader`.
    """
    require_same_images(dataset)
    check_labels(dataset, required=False, classes=classes)
    loader = build_detection_test_loader(dataset=dataset, **options)
    # Detectron2's builder has no argument for this.
    loader.worker_init_fn = leave_signals_to_training
    return loader


class ReadableImages(Dataset[Example]):
    """A mapped data set that replaces unreadable images by other images.

    The replacement depends only on the index of the image and on which images are readable. Every
    unreadable image is logged once, as a warning, and not read again.

    Args:
        dataset: dataset dicts with `file_name`.
        mapper: raises `ImageFileError` for unusable files.
        limit: maximum number of unreadable images in this process and its loader workers; with 0,
            the first error is raised.
    """

    def __init__(self, *, dataset: Sequence[Example], mapper: Mapper, limit: int) -> None:
        require_int("unreadable_limit", limit, 0)
        self._dataset = dataset
        self._mapper = mapper
        self._limit = limit
        # Replacements come from the same source, so that the sources keep their shares.
        self._of_source: dict[str | None, list[int]] = {}
        for k, record in enumerate(dataset if limit else ()):
            self._of_source.setdefault(record.get("source"), []).append(k)
        for source, places in self._of_source.items():
            if len(places) <= limit:
                of_source = f" of source '{source}'" if source else ""
                raise LangDGError(
                    f"unreadable_limit is {limit} with {len(places)} images{of_source}, expected "
                    "fewer than the number of images; 0 allows none"
                )
        # In memory shared with the loader workers.
        self._unreadable = torch.zeros(len(dataset) if limit else 0, dtype=torch.bool)
        self._unreadable.share_memory_()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        """Return the mapped image at an index, or its replacement.

        Raises:
            ImageFileError: if more images than the limit are unreadable; names all of them.
        """
        if not self._limit:
            return self._mapper(self._dataset[index])
        # Seeded with the index, so that each process and each epoch choose the same image.
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
                f"{self._limit} allows: {names}. The last: {error}. Repair them (find all with "
                "tools/check_dataset.py), or allow more"
            ) from error
        _logger.warning(
            "replaced an unreadable image (%d of at most %d): %s",
            *(len(places), self._limit, error),
        )


def leave_signals_to_training(_: int) -> None:
    """Make a loader worker ignore signals to the group and end with its training process.

    Ctrl-C and schedulers also signal the workers, whose images the training process still needs to
    stop gracefully.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # SIGTERM of the parent ends the worker; only `sigwaitinfo` identifies the sender.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != getppid():
        pass
    _exit(0)  # torch reports another status as a crash
