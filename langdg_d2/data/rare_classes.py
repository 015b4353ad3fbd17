"""Rare-class sampling (DAFormer, Hoyer et al., CVPR 2022, section 3.3)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError, require_int
from .label_io import encoding_of, read_train_ids


class RareClasses:
    """Draws a class, and then an image with enough pixels of it.

    The probability of a class is proportional to exp((1 - frequency) / temperature), where the
    frequency is the class's share of all labelled pixels. Classes without a suitable image are left
    out.

    NOTE: the authors also repeat the crop while it contains too little of the class. Here, the crop
    of the mapper is used.

    Args:
        temperature: temperature of the softmax over classes; higher values make probabilities more
            uniform. The authors use 0.01.
        min_pixels: an image is suitable if it has more pixels of the class. The authors use 3000.
    """

    def __init__(self, *, temperature: float = 0.01, min_pixels: int = 3000) -> None:
        if temperature <= 0:
            raise LangDGError(f"temperature {temperature} of rare classes must be positive")
        require_int("min_pixels of rare classes", min_pixels, 0)
        self._temperature = temperature
        self._min_pixels = min_pixels
        self.probabilities = np.empty(0)
        self._images: list[npt.NDArray[np.int64]] = []  # indices in the data set by class

    def prepare(self, dataset: Sequence[Mapping[str, Any]], num_classes: int) -> None:
        """Count the pixels of all labels, which takes minutes for large data sets. Collective.

        Args:
            dataset: dataset dicts with labels.
            num_classes: number of train ids.
        """

        def count() -> npt.NDArray[np.int64]:
            with ThreadPoolExecutor() as threads:
                counts = threads.map(lambda record: _class_pixels(record, num_classes), dataset)
                return np.stack([*counts])

        pixels = of_main_process(count)
        enough = pixels > self._min_pixels
        if not enough.any():
            raise LangDGError(
                f"no image has more than {self._min_pixels} pixels of any class: lower "
                "RareClasses.min_pixels"
            )
        shares = pixels.sum(0) / pixels.sum()
        logits = np.where(enough.any(0), (1 - shares) / self._temperature, -np.inf)
        weights = np.exp(logits - logits.max())
        self.probabilities = weights / weights.sum()
        self._images = [np.flatnonzero(column) for column in enough.T]

    def image(self, seed: int) -> int:
        """Draw the index of an image in the data set from a seed."""
        generator = np.random.default_rng(seed)
        drawn = generator.choice(len(self.probabilities), p=self.probabilities)
        return int(generator.choice(self._images[drawn]))


def _class_pixels(record: Mapping[str, Any], num_classes: int) -> npt.NDArray[np.int64]:
    ids = read_train_ids(record["sem_seg_file_name"], encoding_of(record))
    return np.bincount(ids.ravel(), minlength=num_classes)[:num_classes]
