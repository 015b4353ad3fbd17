"""The best and worst images of a domain, small enough for a page, and how all images spread."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...data import ImageFileError, read_image
from ...evaluation import ImageScore
from ...evaluation.markdown import percent
from ..figures import BLUE, ORANGE, panel
from ..html import Markup, encode, gallery, picture
from ..sem_seg import Image
from .results_folder import Picture

_BINS = 25
# Inches, of the histogram.
_SIZE = (3.0, 0.7)
_MARGINS = {"left": 0.4, "top": 0.1, "right": 0.3, "bottom": 0.25}
_SCALES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
_QUALITY = 75


def embedded_pictures(pictures: Mapping[str, Sequence[Picture]], budget: int) -> dict[str, bytes]:
    """The pictures' files, all shrunk alike until they fit.

    Args:
        pictures: by domain.
        budget: bytes for all together; the smallest scale is taken where none fits.

    Returns:
        JPEG by name of the file; those that are no image are left out.
    """
    files = [one.file for found in pictures.values() for one in found]
    stored = {file.name: _read(file) for file in files}
    images = {name: image for name, image in stored.items() if image is not None}
    for scale in _SCALES:
        embedded = {name: _shrunk(image, scale) for name, image in images.items()}
        if sum(map(len, embedded.values())) <= budget:
            break
    return embedded


def show_pictures(pictures: Sequence[Picture], embedded: Mapping[str, bytes]) -> Markup:
    """Those of the pictures that are embedded, side by side, with names and scores."""
    return gallery(
        *(
            picture(
                embedded[file.name], f"{kind} prediction: {score.image}", caption=caption(score)
            )
            for file, kind, score in pictures
            if file.name in embedded
        )
    )


def caption(score: ImageScore) -> str:
    """Name and scores of an image."""
    return (
        f"{score.image}: mIoU {percent(score.mean_iou)}, "
        f"pixel accuracy {percent(score.pixel_accuracy)}"
    )


def spread_figure(images: Sequence[ImageScore]) -> Figure:
    """A histogram of the images' mean IoU, with a line at the median."""
    figure, axes = panel(_SIZE, **_MARGINS)
    if values := _mean_ious(images):
        axes.hist(values, bins=_BINS, range=(0, 100), color=BLUE, rwidth=0.9)
        axes.axvline(float(np.median(values)), color=ORANGE, linewidth=2)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axes.tick_params(labelsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def spread_text(images: Sequence[ImageScore]) -> str:
    """The spread of the images' mean IoU in words."""
    values = _mean_ious(images)
    if not values:
        return f"{len(images)} images, none with a mean IoU."
    low, median, high = (percent(v) for v in (min(values), float(np.median(values)), max(values)))
    return f"{len(images)} images: median mIoU {median}, lowest {low}, highest {high}."


def _mean_ious(images: Sequence[ImageScore]) -> list[float]:
    return [score.mean_iou for score in images if not math.isnan(score.mean_iou)]


def _read(file: Path) -> Image | None:
    with suppress(ImageFileError):
        return read_image(file)
    return None


def _shrunk(image: Image, scale: float) -> bytes:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return encode(np.asarray(pixels, np.uint8), quality=_QUALITY)
