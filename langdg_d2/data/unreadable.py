"""Images that cannot be read: the first ends a run, or others stand in for a stated number."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from ..utils.errors import LangDGError, require_whole
from .image_io import ImageFileError

_logger = logging.getLogger(__name__)


class ReadableImages(Dataset[dict[str, Any]]):
    """A mapped data set in which other images stand in for those that cannot be read.

    Which one stands in depends on an image's place in the data set and on what can be read, not on
    randomness or on what was asked for before. Every such image is logged once, as a warning, and
    not tried again.

    Args:
        dataset: dataset dicts with `file_name`.
        mapper: raises `ImageFileError` for what cannot be used.
        limit: of images that may be unreadable, in this process and its loaders' workers together;
            0 lets the first error through as it is.

    Raises:
        LangDGError: if the limit is negative, or leaves no image that has to be readable.
    """

    def __init__(
        self,
        *,
        dataset: Sequence[dict[str, Any]],
        mapper: Callable[[dict[str, Any]], dict[str, Any]],
        limit: int,
    ) -> None:
        require_whole("unreadable_limit", limit, 0)
        if 0 < len(dataset) <= limit:
            raise LangDGError(
                f"unreadable_limit {limit} of {len(dataset)} images: choose one from 0, which "
                "allows none, up to less than all of them"
            )
        self._dataset = dataset
        self._mapper = mapper
        self._limit = limit
        # In memory that is shared with the loaders' workers.
        self._unreadable = torch.zeros(len(dataset) if limit else 0, dtype=torch.bool)
        self._unreadable.share_memory_()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The mapped image of a place, or the one that stands in for it.

        Raises:
            ImageFileError: if more images than the limit cannot be read; lists them.
        """
        if not self._limit:
            return self._mapper(self._dataset[index])
        return next(self._readable(index))

    def _readable(self, index: int) -> Iterator[dict[str, Any]]:
        for place in self._places(index):
            if not self._unreadable[place]:
                try:
                    yield self._mapper(self._dataset[place])
                except ImageFileError as error:
                    self._count(place, error)

    def _places(self, index: int) -> Iterator[int]:
        """A place and those that stand in for it, in order, without end."""
        yield index
        choice = random.Random(index)
        while True:
            yield choice.randrange(len(self._dataset))

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
