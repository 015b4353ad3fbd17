"""Pictures of predictions: several views, several models side by side, and what colours mean."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from ..utils.errors import LangDGError
from .palettes import Palette
from .prediction import Image, Prediction
from .sem_seg import (
    draw_sem_seg,
    legend,
    side_by_side,
    stacked,
    strip_height,
    title_strip,
    title_width,
    widened,
)

_BACKGROUND = 255
_ROW_MINIMUM = 20  # pixels of a row of the legend at least, ...
_ROW_SHARE = 60  # ... or else this fraction of the picture's width

# Every view of a prediction: what is drawn of it.
_VIEWS: dict[str, Callable[[Prediction, Palette], Image]] = {
    "image": lambda prediction, palette: prediction.image,
    "overlay": lambda prediction, palette: draw_sem_seg(
        prediction.image, prediction.classes, palette.metadata
    ),
    "colors": lambda prediction, palette: palette.paint_classes(prediction.classes),
    "confidence": lambda prediction, palette: palette.paint_values(prediction.confidence),
    "entropy": lambda prediction, palette: palette.paint_values(prediction.entropy),
}
VIEWS = tuple(_VIEWS)
_OF_CLASSES = {"overlay", "colors"}
_OF_VALUES = ("confidence", "entropy")


def draw_view(prediction: Prediction, view: str, palette: Palette) -> Image:
    """One view of a prediction.

    Args:
        prediction: of an image (H, W).
        view: one of `VIEWS`: the image, classes laid over it, classes, confidence or entropy.
        palette: colours of classes and values.

    Returns:
        (H, W, 3) uint8 RGB; of the view "image" the prediction's own array.

    Raises:
        LangDGError: if there is no such view.
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
    """Views of what one or several models predict for an image, with a legend below.

    Several models stand side by side, a row for each view; the views of a single one are laid out
    in about a square. A single panel has no title.

    Args:
        predictions: title to prediction, all of one size.
        views: of `VIEWS`, in this order.
        palette: colours of classes and values.
        longest_side: of a panel in pixels; larger images are scaled down before they are drawn.
        classes: ids in the legend; None for those that are predicted. Frames of a video need the
            same ones throughout to be of one size.

    Returns:
        uint8 RGB picture.

    Raises:
        LangDGError: for an unknown view, none at all, or predictions of several sizes.
    """
    check_views(views)
    fitted = {title: _fit(prediction, longest_side) for title, prediction in predictions.items()}
    panels = {
        _panel_title(name, view, len(fitted), len(views)): draw_view(prediction, view, palette)
        for view in dict.fromkeys(views)
        for name, prediction in fitted.items()
    }
    columns = len(fitted) if len(fitted) > 1 else math.ceil(math.sqrt(len(panels)))
    parts = [next(iter(panels.values())) if len(panels) == 1 else _grid(panels, columns)]
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
    """(height, width, 3) uint8 strip of the colours from 0 to 1, and what they stand for.

    It is wider than that where the title needs it.
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
    """Raise a LangDGError unless there are views, and all of them are known."""
    unknown = [view for view in views if view not in _VIEWS]
    if unknown or not views:
        raise LangDGError(f"views {unknown}, expected one or more of {', '.join(VIEWS)}")


def _grid(panels: Mapping[str, Image], columns: int) -> Image:
    """Titled panels row by row; what the last row lacks is white."""
    titles = list(panels)
    height = strip_height(next(iter(panels.values())).shape[0])
    least = max(title_width(title, height) for title in titles)
    panels = {title: widened(panel, least) for title, panel in panels.items()}
    rows = [
        side_by_side({title: panels[title] for title in titles[start : start + columns]})
        for start in range(0, len(titles), columns)
    ]
    return stacked(rows)


def _panel_title(name: str, view: str, models: int, views: int) -> str:
    if models == 1:
        return view
    return name if views == 1 else f"{name}: {view}"


def _fit(prediction: Prediction, longest_side: int | None) -> Prediction:
    height, width = prediction.classes.shape
    if longest_side is None or max(height, width) <= longest_side:
        return prediction
    scale = longest_side / max(height, width)
    return prediction.resized(max(1, round(height * scale)), max(1, round(width * scale)))
