"""Batches of a data set whose content depends on a seed and their number, and on nothing else."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from ..structures import LabelSpace
from ..utils.errors import LangDGError, require_whole
from ..utils.seeding import derived_seed, globally_seeded
from .label_sample import check_labels
from .unreadable import ReadableImages

_DIGITS = 16  # hexadecimal: 64 bits


class SeededBatches(Dataset[list[dict[str, Any]]]):
    """One pass over a data set in random order, cut into batches; what is left over is dropped.

    Batch k is the same whoever asks for it, when, and in which process: work can be shared out
    and taken up again at will.

    Args:
        dataset: dataset dicts.
        mapper: its randomness must be global, as in Detectron2's augmentations.
        batch_size: images in a batch.
        seed: of the order and of the mapper's randomness.
        unreadable_limit: see `ReadableImages`.
        classes: of the model; see `check_labels`.
        max_batches: the first so many are made; None for all that the data set fills.

    Raises:
        LangDGError: if the data set does not fill one batch, or a limit makes no sense.
        DatasetError: if the labels seem wrong, see `check_labels`.
    """

    def __init__(
        self,
        *,
        dataset: Sequence[dict[str, Any]],
        mapper: Callable[[dict[str, Any]], dict[str, Any]],
        batch_size: int,
        seed: int,
        unreadable_limit: int = 0,
        max_batches: int | None = None,
        classes: LabelSpace | None = None,
    ) -> None:
        if not 0 < batch_size <= len(dataset):
            raise LangDGError(
                f"{len(dataset)} images make no batch of {batch_size}: set "
                f"styles.mining.batches.batch_size to 1..{len(dataset)}"
            )
        if max_batches is not None:
            require_whole("styles.mining.batches.max_batches", max_batches)
        check_labels(dataset, required=True, classes=classes)
        self._dataset = dataset
        self._readable = ReadableImages(dataset=dataset, mapper=mapper, limit=unreadable_limit)
        self._batch_size = batch_size
        self._max_batches = max_batches
        self._seed = seed
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(dataset), generator=generator).tolist()

    @property
    def fingerprint(self) -> str:
        """See `images_fingerprint`."""
        return images_fingerprint(self._dataset)

    def __len__(self) -> int:
        filled = len(self._dataset) // self._batch_size
        return filled if self._max_batches is None else min(filled, self._max_batches)

    def __getitem__(self, number: int) -> list[dict[str, Any]]:
        start = number * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        with globally_seeded(derived_seed(self._seed, number)):
            return [self._readable[index] for index in chosen]


def images_fingerprint(dataset: Sequence[dict[str, Any]]) -> str:
    """What tells a data set from others, wherever its folders lie.

    The number of images and a hash of their file names in order; where there are labels, a hash of
    their names and sizes in bytes. Images' bytes do not count: copies without compression are the
    same images.

    Args:
        dataset: dataset dicts with `file_name`, and `sem_seg_file_name` where there are labels.
    """
    found = f"{len(dataset)} images, {_digest(_below([x['file_name'] for x in dataset]))}"
    labels = [x["sem_seg_file_name"] for x in dataset if "sem_seg_file_name" in x]
    if not labels:
        return found
    sizes = map(_size, labels)
    return f"{found}, labels {_digest(map('{} {}'.format, _below(labels), sizes))}"


def same_images(one: object, other: object) -> bool:
    """Whether two fingerprints agree; those of earlier versions say nothing of labels."""
    short, long = sorted((str(one), str(other)), key=len)
    return short == long or long.startswith(f"{short}, labels ")


def _below(files: list[str]) -> list[str]:
    """Paths below the folder that all files share."""
    paths = [Path(file).absolute() for file in files]
    folder = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(folder).as_posix() for path in paths]


def _size(file: str) -> int | None:
    """In bytes; None for a missing file, which is named where it is read."""
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _digest(lines: Iterable[str]) -> str:
    # Names need not be UTF-8.
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]
