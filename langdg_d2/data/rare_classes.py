"""Images with rare classes more often: DAFormer (Hoyer et al., CVPR 2022), section 3.3."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError, require_int
from .label_io import encoding_of, read_train_ids


class RareClasses:
    """Draws a class, and then an image that has enough of it.

    The probability of a class is proportional to exp((1 - share of it) / temperature), where shares
    are of all labelled pixels of the data set. Classes of which no image has enough are left out.

    NOTE: the authors also crop the image again while the crop has too little of the class. Here the
    mapper's crop is taken as it is.

    Args:
        temperature: 0.01 by the authors; the higher, the more alike are the probabilities.
        min_pixels: an image has enough of a class with more pixels of it; 3000 by the authors.
    """

    def __init__(self, *, temperature: float = 0.01, min_pixels: int = 3000) -> None:
        if temperature <= 0:
            raise LangDGError(f"temperature {temperature} of rare classes must be positive")
        require_int("min_pixels of rare classes", min_pixels, 0)
        self._temperature = temperature
        self._min_pixels = min_pixels
        self.probabilities = np.empty(0)
        self._images: list[npt.NDArray[np.int64]] = []  # places in the data set by class

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
                f"no image has more than {self._min_pixels} pixels of a class, as min_pixels of "
                "rare classes asks for: choose a smaller number"
            )
        shares = pixels.sum(0) / pixels.sum()
        logits = np.where(enough.any(0), (1 - shares) / self._temperature, -np.inf)
        weights = np.exp(logits - logits.max())
        self.probabilities = weights / weights.sum()
        self._images = [np.flatnonzero(column) for column in enough.T]

    def image(self, seed: int) -> int:
        """Place of an image in the data set, drawn from a seed."""
        generator = np.random.default_rng(seed)
        drawn = generator.choice(len(self.probabilities), p=self.probabilities)
        return int(generator.choice(self._images[drawn]))


def _class_pixels(record: Mapping[str, Any], num_classes: int) -> npt.NDArray[np.int64]:
    ids = read_train_ids(record["sem_seg_file_name"], encoding_of(record))
    return np.bincount(ids.ravel(), minlength=num_classes)[:num_classes]
