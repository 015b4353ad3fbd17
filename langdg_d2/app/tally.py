"""How much of what was seen is of which class, and how sure a model was of it."""

import numpy as np
import numpy.typing as npt

from ..visualization import Prediction

_MOST_CLASSES = 256  # that a class map of 8 bits can tell apart


class ClassTally:
    """Counts over the pixels of one or several predictions.

    Attributes:
        pixels: all of them.
    """

    def __init__(self) -> None:
        self.pixels = 0
        self._counts = np.zeros(_MOST_CLASSES)
        self._confidence = np.zeros(_MOST_CLASSES)

    @classmethod
    def of(cls, *predictions: Prediction) -> "ClassTally":
        """The tally of predictions."""
        tally = cls()
        for prediction in predictions:
            tally.add(prediction)
        return tally

    def add(self, prediction: Prediction) -> None:
        """Count the pixels of a prediction."""
        classes = prediction.classes.ravel()
        self.pixels += classes.size
        self._counts += np.bincount(classes, minlength=_MOST_CLASSES)
        weights = prediction.confidence.ravel()
        self._confidence += np.bincount(classes, weights=weights, minlength=_MOST_CLASSES)

    @property
    def classes(self) -> list[int]:
        """Ids of the classes that were seen, most frequent first, of equal ones the smaller."""
        order = np.argsort(-self._counts, kind="stable")
        return [int(k) for k in order if self._counts[k]]

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Share of the pixels of each class id, in 0..1."""
        return self._counts / max(1, self.pixels)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Mean confidence, in 0..1, in the pixels of each class id; 0 of a class not seen."""
        return self._confidence / np.maximum(1, self._counts)

    @property
    def mean_confidence(self) -> float:
        """Over all pixels, in 0..1."""
        return float(self._confidence.sum() / max(1, self.pixels))
