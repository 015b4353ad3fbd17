"""Drawing of semantic segmentation: overlays, titles, legends, panels."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import MetadataCatalog
from detectron2.utils.visualizer import Visualizer

from ..data import ImageFileError
from ..data.dataset_mapper import read_pair
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer[Any]]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP_SHARE = 24  # height of a text strip as a fraction of the panel's height, ...
_STRIP_MINIMUM = 20  # ... and its minimum in pixels, to be readable
LEGEND_HEIGHT = 24  # minimum height in pixels of a legend row below the labels of a data set
_BACKGROUND, _INK = 255, 0


def draw_sem_seg(image: Image, label: Labels, metadata: Any, alpha: float = 0.6) -> Image:
    """Overlay the colours of the classes on an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) integers; values without a class, such as the ignore label, are not drawn.
        metadata: Detectron2 metadata with `stuff_classes` and `stuff_colors` (RGB in 0..255).
        alpha: opacity in 0..1.

    Returns:
        (H, W, 3) uint8 RGB, a new array that equals `image` where nothing is drawn.
    """
    if image.shape[:2] != label.shape:
        raise LangDGError(
            f"cannot draw labels {label.shape} on an image {image.shape}; resize one of them"
        )
    num_classes = len(metadata.stuff_classes)
    undrawn = (label < 0) | (label >= num_classes)
    # Detectron2 skips labels from num_classes on, but -1 would be the last class.
    drawable = np.where(undrawn, num_classes, label)
    # Without an edge colour, the colour of the class is used, because white outlines would hide
    # poles and distant people.
    drawn = Visualizer(image, metadata).draw_sem_seg(
        drawable, alpha=alpha, draw_text=False, edge_color=None
    )
    # Outlines extend beyond the border of their region.
    return np.where(undrawn[..., None], image, drawn.get_image())


def title_strip(text: str, *, width: int, height: int) -> Image:
    """Draw a (height, width, 3) uint8 strip with left-aligned text; longer text is cut off."""
    strip = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    _put_text(strip, text, left=height // 4)
    return strip


def title_width(text: str, height: int) -> int:
    """Compute the width in pixels that a strip of this height needs for the text."""
    return height // 2 + _text_width(text, height)


def titled(text: str, panel: Image, *, height: int, below: bool = False) -> Image:
    """Add a title above or below a panel, padded with white until the title fits."""
    strip = title_strip(text, width=title_width(text, height), height=height)
    return stacked([panel, strip] if below else [strip, panel])


def stacked(pictures: Sequence[Image]) -> Image:
    """Stack pictures vertically, with narrower ones padded with white on the right."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate([widened(picture, width) for picture in pictures])


def widened(picture: Image, width: int) -> Image:
    """Pad a picture with white on the right up to a width; wider pictures do not change."""
    missing = max(0, width - picture.shape[1])
    return np.pad(picture, ((0, 0), (0, missing), (0, 0)), constant_values=_BACKGROUND)


def legend(classes: Iterable[int], metadata: Any, *, width: int, row_height: int) -> Image:
    """Draw colours and names of classes in as many rows as needed.

    Args:
        classes: class ids in order; ids outside 0..K-1 are left out.
        metadata: see `draw_sem_seg`.
        width: width in pixels; longer names widen the legend.
        row_height: height of a row in pixels.

    Returns:
        (rows * row_height, width, 3) uint8 RGB; no rows without classes.
    """
    known = [k for k in classes if 0 <= k < len(metadata.stuff_classes)]
    widths = {k: 2 * row_height + _text_width(metadata.stuff_classes[k], row_height) for k in known}
    width = max([width, *widths.values()])
    rows: list[Image] = []
    left = width
    for k in known:
        name, entry_width = metadata.stuff_classes[k], widths[k]
        if left + entry_width > width:
            rows.append(np.full((row_height, width, 3), _BACKGROUND, dtype=np.uint8))
            left = 0
        margin = row_height // 4
        rows[-1][margin:-margin, left + margin : left + row_height] = metadata.stuff_colors[k]
        _put_text(rows[-1], name, left=left + row_height + margin)
        left += entry_width
    return np.concatenate(rows) if rows else np.empty((0, width, 3), dtype=np.uint8)


def side_by_side(panels: Mapping[str, Image], *, columns: int | None = None) -> Image:
    """Arrange titled panels in rows, with narrow gaps.

    All columns are as wide as the widest panel or title.

    Args:
        panels: (H, W, 3) uint8 images by title, all of the same size.
        columns: panels per row; None for a single row.

    Returns:
        uint8 image with rows of panels below their titles.
    """
    shapes = {title: image.shape for title, image in panels.items()}
    if len(set(shapes.values())) != 1:
        raise LangDGError(f"panels must have the same size, got {shapes}; resize them first")
    height, width, _ = next(iter(shapes.values()))
    strip = max(_STRIP_MINIMUM, height // _STRIP_SHARE)
    width = max([width, *(title_width(title, strip) for title in panels)])
    gap = np.full((strip + height, strip // 4, 3), _BACKGROUND, dtype=np.uint8)
    parts = [widened(titled(title, x, height=strip), width) for title, x in panels.items()]
    columns = columns or len(parts)
    rows = []
    for start in range(0, len(parts), columns):
        row = [part for one in parts[start : start + columns] for part in (gap, one)]
        rows.append(np.concatenate(row[1:], axis=1))
    return stacked(rows)


def shrunk(picture: Image, longest_side: int) -> Image:
    """Scale a picture (H, W, 3) down by area until no side exceeds `longest_side`."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode(picture: Image, *, quality: int | None = None) -> bytes:
    """Encode a picture as PNG or JPEG.

    Args:
        picture: (H, W, 3) RGB or (H, W) grey.
        quality: JPEG quality from 1 to 100; None for PNG.
    """
    if picture.size == 0:
        raise LangDGError(f"a picture {picture.shape} has no pixels, expected at least one")
    pixels = np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture)  # BGR
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".png" if quality is None else ".jpg", pixels, options)
    return data.tobytes()


def write_label_overlays(
    records: Sequence[dict[str, Any]],
    *,
    dataset_name: str,
    folder: Path,
    count: int,
    seed: int,
) -> None:
    """Write random images with overlays of their labels and a legend.

    Args:
        records: dataset dicts; those with unreadable files are left out.
        dataset_name: prefix of the file names; its metadata has names and colours.
        folder: folder of the PNG files, created if needed.
        count: maximum number of pictures.
        seed: seed of the random choice.
    """
    metadata = MetadataCatalog.get(dataset_name)
    written = 0
    for record in random.Random(seed).sample(records, len(records)):
        if written == count:
            return
        try:
            image, label = read_pair(record)
        except ImageFileError:
            continue
        panels = {record["image_id"]: image, dataset_name: draw_sem_seg(image, label, metadata)}
        picture = side_by_side(panels)
        present = np.unique(label).tolist()
        row_height = max(LEGEND_HEIGHT, len(image) // 30)
        names = legend(present, metadata, width=picture.shape[1], row_height=row_height)
        path = folder / f"{dataset_name}_{record['image_id']}.png"
        write_png(path, stacked([picture, names]))
        written += 1


def write_png(path: Path, picture: Image) -> None:
    """Write a picture atomically."""
    write_atomically(path, encode(picture))


def _font(height: int) -> tuple[float, int]:
    """Compute scale and thickness of text for a strip of this height."""
    thickness = max(1, height // 20)
    return cv2.getFontScaleFromHeight(_FONT, height // 2, thickness), thickness


def _drawable(text: str) -> str:
    """Convert text to ASCII for OpenCV's font; other characters become question marks."""
    return text.encode("ascii", "replace").decode()


def _text_width(text: str, height: int) -> int:
    (width, _), _ = cv2.getTextSize(_drawable(text), _FONT, *_font(height))
    return width


def _put_text(strip: Image, text: str, *, left: int) -> None:
    """Draw text into a strip of one row, in place."""
    height = len(strip)
    scale, thickness = _font(height)
    ink = (_INK, _INK, _INK)
    text = _drawable(text)
    cv2.putText(strip, text, (left, 3 * height // 4), _FONT, scale, ink, thickness, cv2.LINE_AA)
