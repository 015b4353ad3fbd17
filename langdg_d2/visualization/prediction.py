"""Predictions for the pixels of an image, and pictures of them."""

import io
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor

from ..evaluation import require_finite
from ..structures import LabelSpace
from ..utils.arguments import VIEWS
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .palettes import Palette, palette_named
from .sem_seg import (
    Image,
    draw_sem_seg,
    encode,
    legend,
    side_by_side,
    stacked,
    title_strip,
    title_width,
)

Values = npt.NDArray[np.float32]

_BAND_VALUES = 1 << 22  # logits to convert to probabilities at a time
_BACKGROUND = 255
_ROW_MINIMUM = 20  # minimum height of a legend row in pixels, ...
_ROW_SHARE = 60  # ... or this fraction of the picture's width


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """An image with the prediction of a model. Notebooks show its overlay.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        classes: (H, W) uint8, the most probable class.
        confidence: (H, W) float32 in 0..1, the probability of that class.
        entropy: (H, W) float32 in 0..1, entropy of the probabilities relative to that of the
            uniform distribution.
        label_space: names and colours of the classes.
    """

    image: Image
    classes: npt.NDArray[np.uint8]
    confidence: Values
    entropy: Values
    label_space: LabelSpace

    @classmethod
    def from_logits(cls, image: Image, logits: Tensor, label_space: LabelSpace) -> "Prediction":
        """Compute classes and probabilities of logits in float32.

        Rows are processed in bands, so that images of any size need only about 60 MB in addition to
        arguments and results.

        Args:
            image: (H, W, 3) uint8 RGB; not copied.
            logits: (K, H, W), of any floating dtype and device; not modified.
            label_space: the K classes.
        """
        num_classes, height, width = logits.shape
        if (*image.shape[:2], len(label_space)) != (height, width, num_classes):
            raise LangDGError(
                f"logits {tuple(logits.shape)} do not match an image {image.shape} and "
                f"{len(label_space)} classes; compute logits of the image's size"
            )
        require_finite(logits)
        classes = np.empty((height, width), np.uint8)
        confidence, entropy = np.empty((2, height, width), np.float32)
        rows = max(1, _BAND_VALUES // (num_classes * width))
        for top in range(0, height, rows):
            band = slice(top, top + rows)
            classes[band], confidence[band], entropy[band] = (
                part.cpu().numpy() for part in _band_of_logits(logits[:, band])
            )
        return cls(
            image=image,
            classes=classes,
            confidence=confidence,
            entropy=entropy,
            label_space=label_space,
        )

    def resized(self, height: int, width: int) -> "Prediction":
        """Resize the prediction: nearest classes, all other values averaged by area."""

        def scale(array: npt.NDArray[Any], interpolation: int = cv2.INTER_AREA) -> npt.NDArray[Any]:
            return np.asarray(cv2.resize(array, (width, height), interpolation=interpolation))

        return replace(
            self,
            image=scale(self.image),
            classes=scale(self.classes, cv2.INTER_NEAREST),
            confidence=scale(self.confidence),
            entropy=scale(self.entropy),
        )

    def overlay(
        self, *, views: Sequence[str] = ("overlay",), palette: str = "classes"
    ) -> Pillow.Image:
        """Draw a picture with a legend of the predicted classes.

        Args:
            views: views to draw, from `VIEWS`.
            palette: name of a palette, from `palettes_for` the classes.
        """
        colors = palette_named(palette, self.label_space)
        return Pillow.fromarray(draw_panels({"": self}, views=views, palette=colors))

    def show(self, **options: Any) -> None:
        """Show the `overlay` with these options in a notebook, or else in the system's viewer."""
        self.overlay(**options).show()

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the `overlay` with these options, in the format of the file's suffix."""
        file = Path(path)
        kind = Pillow.registered_extensions().get(file.suffix.lower())
        if kind not in Pillow.SAVE:
            raise LangDGError(
                f"pictures '{file.suffix}' cannot be written; name the file .png or .jpg"
            )
        content = io.BytesIO()
        self.overlay(**options).save(content, kind)
        write_atomically(file, content.getvalue())

    def _repr_png_(self) -> bytes:
        return encode(np.asarray(self.overlay()))


# Functions that draw each of `VIEWS`.
_VIEWS: dict[str, Callable[[Prediction, Palette], Image]] = {
    "image": lambda prediction, palette: prediction.image,
    "overlay": lambda prediction, palette: draw_sem_seg(
        prediction.image, prediction.classes, palette.metadata
    ),
    "colors": lambda prediction, palette: palette.paint_classes(prediction.classes),
    "confidence": lambda prediction, palette: palette.paint_values(prediction.confidence),
    "entropy": lambda prediction, palette: palette.paint_values(prediction.entropy),
}
_OF_CLASSES = {"overlay", "colors"}
_OF_VALUES = ("confidence", "entropy")


def draw_view(prediction: Prediction, view: str, palette: Palette) -> Image:
    """Draw one view of a prediction.

    Args:
        prediction: prediction of an image (H, W).
        view: one of `VIEWS`: image, overlay, colours of classes, confidence or entropy.
        palette: colours of classes and values.

    Returns:
        (H, W, 3) uint8 RGB; for the view "image", the array of the prediction.
    """
    check_views([view])
    return _VIEWS[view](prediction, palette)


def draw_panels(
    predictions: Mapping[str, Prediction],
    *,
    views: Sequence[str],
    palette: Palette,
    longest_side: int | None = None,
    classes: Iterable[int] | None = None,
) -> Image:
    """Draw views of the predictions of one or several models for an image, with a legend.

    Several models are shown side by side with a row per view; the views of a single model form
    about a square. A single panel has no title.

    Args:
        predictions: predictions by title, all of the same size.
        views: views to draw, from `VIEWS`, in this order.
        palette: colours of classes and values.
        longest_side: longest side of a panel in pixels; larger images are scaled down first.
        classes: ids in the legend; None for the predicted ones. Frames of a video need the same
            ids, so that they have the same size.

    Returns:
        uint8 RGB picture.
    """
    check_views(views)
    fitted = {title: _fit(prediction, longest_side) for title, prediction in predictions.items()}
    panels = {}
    for view in dict.fromkeys(views):
        for name, prediction in fitted.items():
            both = name if len(views) == 1 else f"{name}: {view}"
            panels[view if len(fitted) == 1 else both] = draw_view(prediction, view, palette)
    columns = len(fitted) if len(fitted) > 1 else math.ceil(math.sqrt(len(panels)))
    alone = len(panels) == 1
    parts = [next(iter(panels.values())) if alone else side_by_side(panels, columns=columns)]
    width = parts[0].shape[1]
    row_height = max(_ROW_MINIMUM, width // _ROW_SHARE)
    if _OF_CLASSES.intersection(views):
        if classes is None:
            classes = np.unique(np.concatenate([np.unique(p.classes) for p in fitted.values()]))
        ids = [int(k) for k in classes]
        parts.append(legend(ids, palette.metadata, width=width, row_height=row_height))
    if values := [view for view in _OF_VALUES if view in views]:
        parts.append(scale_bar(", ".join(values), palette, width=width, height=row_height))
    return stacked(parts)


def scale_bar(title: str, palette: Palette, *, width: int, height: int) -> Image:
    """Draw a (height, width, 3) uint8 strip of the colours from 0 to 1 with a title.

    A longer title widens the strip.
    """
    margin, length = height // 4, max(1, width // 3)
    title = f"1   {title}"
    needed = title_width(title, height)
    ramp = np.full((height, length, 3), _BACKGROUND, np.uint8)
    steps = np.broadcast_to(np.linspace(0, 1, length), (height - 2 * margin, length))
    ramp[margin:-margin] = palette.paint_values(steps)
    zero = title_strip("0", width=height, height=height)
    one = title_strip(title, width=max(needed, width - height - length), height=height)
    return np.concatenate([zero, ramp, one], axis=1)


def check_views(views: Collection[str]) -> None:
    """Raise a LangDGError for unknown views or none."""
    unknown = [view for view in views if view not in _VIEWS]
    if unknown or not views:
        raise LangDGError(f"views {unknown}, expected one or more of {', '.join(VIEWS)}")


def _fit(prediction: Prediction, longest_side: int | None) -> Prediction:
    height, width = prediction.classes.shape
    if longest_side is None or max(height, width) <= longest_side:
        return prediction
    scale = longest_side / max(height, width)
    return prediction.resized(max(1, round(height * scale)), max(1, round(width * scale)))


@torch.no_grad()
def _band_of_logits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute class, probability and relative entropy, (h, w) each, of logits (K, h, w)."""
    scores = logits.float()
    classes = scores.argmax(dim=0)  # of logits, because rounding may give equal probabilities
    log_probabilities = scores.log_softmax(dim=0)
    confidence = log_probabilities.amax(dim=0).exp()
    products = log_probabilities.exp().mul_(log_probabilities)
    largest = math.log(max(2, len(logits)))  # a single class has no entropy
    entropy = products.sum(dim=0).neg_().div_(largest).clamp_(0, 1)
    return classes.to(torch.uint8), confidence, entropy
