"""What a model says about every pixel: its class, how sure it is, and how undecided."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..evaluation import require_finite
from ..utils.errors import LangDGError

Image = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

_BAND_VALUES = 1 << 22  # logits that become probabilities at a time
_MOST_CLASSES = 256  # that a class map of 8 bits can tell apart


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """An image with what a model predicts for it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        classes: (H, W) uint8, the most probable class.
        confidence: (H, W) float32 in 0..1, the probability of that class.
        entropy: (H, W) float32 in 0..1, entropy of the probabilities as a fraction of that of
            equally probable classes.
    """

    image: Image
    classes: npt.NDArray[np.uint8]
    confidence: Values
    entropy: Values

    @classmethod
    def from_logits(cls, image: Image, logits: Tensor) -> "Prediction":
        """Classes and probabilities of logits; probabilities are computed in float32.

        Rows are taken a few at a time: beside its arguments and results this needs about 60 MB,
        whatever the size of the image.

        Args:
            image: (H, W, 3) uint8 RGB; kept, not copied.
            logits: (K, H, W), of any floating type and device; left as they are.

        Raises:
            LangDGError: if sizes differ, there are too many classes, or a logit is not finite.
        """
        num_classes, height, width = logits.shape
        if image.shape[:2] != (height, width):
            raise LangDGError(
                f"logits {tuple(logits.shape)} do not belong to an image {image.shape}; ask the "
                "model for logits of the image's size"
            )
        if num_classes > _MOST_CLASSES:
            raise LangDGError(f"{num_classes} classes, expected {_MOST_CLASSES} at most")
        require_finite(logits)
        classes = np.empty((height, width), np.uint8)
        confidence, entropy = np.empty((2, height, width), np.float32)
        rows = max(1, _BAND_VALUES // (num_classes * width))
        for top in range(0, height, rows):
            band = slice(top, top + rows)
            classes[band], confidence[band], entropy[band] = (
                part.cpu().numpy() for part in _band_of_logits(logits[:, band])
            )
        return cls(image=image, classes=classes, confidence=confidence, entropy=entropy)

    def resized(self, height: int, width: int) -> "Prediction":
        """The same at another size: classes of the nearest pixel, all else averaged by area."""

        def scale(array: npt.NDArray[Any], interpolation: int = cv2.INTER_AREA) -> npt.NDArray[Any]:
            return np.asarray(cv2.resize(array, (width, height), interpolation=interpolation))

        return Prediction(
            image=scale(self.image),
            classes=scale(self.classes, cv2.INTER_NEAREST),
            confidence=scale(self.confidence),
            entropy=scale(self.entropy),
        )


@torch.no_grad()
def _band_of_logits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Class, its probability and the relative entropy, (h, w) each, of logits (K, h, w)."""
    scores = logits.float()
    classes = scores.argmax(dim=0)  # not of probabilities, where rounding makes ties
    log_probabilities = scores.log_softmax(dim=0)
    confidence = log_probabilities.amax(dim=0).exp()
    products = log_probabilities.exp().mul_(log_probabilities)
    largest = math.log(max(2, len(logits)))  # a single class has no entropy at all
    entropy = products.sum(dim=0).neg_().div_(largest).clamp_(0, 1)
    return classes.to(torch.uint8), confidence, entropy
