"""The best and worst images of a domain, small enough for a page, and how all images spread."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ...evaluation import ImageScore
from ...evaluation.markdown import percent
from ..html import Markup, encode, gallery, picture
from .results_folder import Picture
from .svg import BLUE, FAINT, drawing, element, line

_BINS = 25
_WIDTH, _HEIGHT, _MARGIN = 300, 60, 18  # pixels of the histogram
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
    stored = {file.name: file.read_bytes() for file in files}
    for scale in _SCALES:
        embedded = {name: _shrunk(data, scale) for name, data in stored.items()}
        known = {name: data for name, data in embedded.items() if data is not None}
        if sum(map(len, known.values())) <= budget:
            break
    return known


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


def spread(images: Sequence[ImageScore]) -> Markup:
    """A histogram of the images' mean IoU, with a line at the median."""
    values = np.array([s.mean_iou for s in images if not math.isnan(s.mean_iou)])
    numbers, _ = np.histogram(values, bins=_BINS, range=(0, 100))
    width, highest = _WIDTH / _BINS, max(1, numbers.max())
    shapes = [line(0, _HEIGHT, _WIDTH, _HEIGHT, opacity=2 * FAINT)]
    for k, number in enumerate(numbers.tolist()):
        if number:
            height = _HEIGHT * number / highest
            place = {"x": width * k + 0.5, "y": _HEIGHT - height, "width": width - 1}
            low, high = (100 * edge // _BINS for edge in (k, k + 1))
            tooltip = element("title", f"{number} images from {low} to {high} %")
            shapes.append(element("rect", tooltip, **place, height=height, fill=BLUE))
    if len(values):
        x = _WIDTH * float(np.median(values)) / 100
        shapes.append(line(x, 0, x, _HEIGHT, stroke_width=1.5, stroke_dasharray="3 2"))
    for value, anchor in ((0, "start"), (50, "middle"), (100, "end")):
        place = {"x": _WIDTH * value // 100, "y": _HEIGHT + 13, "text_anchor": anchor}
        shapes.append(element("text", f"{value} %", **place))
    return drawing(_WIDTH, _HEIGHT + _MARGIN, "Mean IoU of the images", *shapes)


def spread_text(images: Sequence[ImageScore]) -> str:
    """The spread of the images' mean IoU in words."""
    values = [score.mean_iou for score in images if not math.isnan(score.mean_iou)]
    if not values:
        return f"{len(images)} images, none with a mean IoU."
    low, median, high = (percent(v) for v in (min(values), float(np.median(values)), max(values)))
    return f"{len(images)} images: median mIoU {median}, lowest {low}, highest {high}."


def _shrunk(data: bytes, scale: float) -> bytes | None:
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if stored is None:
        return None
    size = [max(1, round(side * scale)) for side in stored.shape[1::-1]]
    pixels = cv2.resize(stored, size, interpolation=cv2.INTER_AREA) if scale < 1 else stored
    return encode(np.ascontiguousarray(pixels[..., ::-1]), quality=_QUALITY)
