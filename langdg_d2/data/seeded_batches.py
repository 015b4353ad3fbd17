"""Batches of a data set whose content depends on a seed and their number, and on nothing else."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from ..structures import LabelSpace
from ..structures.randomness import derived_seed, globally_seeded
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
        ValueError: if the data set does not fill one batch, or a limit makes no sense.
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
            raise ValueError(
                f"{len(dataset)} images make no batch of {batch_size}: set "
                f"styles.mining.batches.batch_size to 1..{len(dataset)}"
            )
        if max_batches is not None and max_batches < 1:
            raise ValueError(f"max_batches {max_batches} must be 1 or more, or null for all")
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
    """Number of images, and a hash of their file names in order, wherever their folder lies.

    Args:
        dataset: dataset dicts with `file_name`.
    """
    paths = [Path(record["file_name"]).absolute() for record in dataset]
    folder = os.path.commonpath([path.parent for path in paths])
    names = "\n".join(path.relative_to(folder).as_posix() for path in paths)
    # Names need not be UTF-8.
    digest = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
    return f"{len(paths)} images, {digest}"
