"""Confusion matrices: what the pixels of every class were taken for."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..html import Markup
from .results_folder import Counts
from .svg import BLUE, FAINT, ORANGE, drawing, element

_CELL = 23  # pixels
_MARGIN = 90  # for names
_SHOWN = 0.001  # smaller shares have neither colour nor tooltip
_WRITTEN = 0.005  # smaller shares have no figure
# From this opacity on the colour is too strong for figures in the colour of text.
_STRONG = 0.75
_INKS = {BLUE: "#fff", ORANGE: "#000"}  # there


class Confusion(NamedTuple):
    """Pixels of one class that were taken for another.

    Attributes:
        truth, prediction: names of the classes.
        share: of the pixels of the true class, 0..1.
        pixels: how many.
    """

    truth: str
    prediction: str
    share: float
    pixels: int


def row_shares(counts: Counts) -> npt.NDArray[np.float64]:
    """(K, K) share of each true class (row) that was predicted as each; NaN without its pixels."""
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return counts / totals


def largest_confusions(classes: Sequence[str], counts: Counts, limit: int) -> list[Confusion]:
    """The confusions with the largest shares of their true class, the largest first.

    Args:
        classes: names.
        counts: (K, K) pixels; rows are true classes, columns predicted ones.
        limit: how many at most; shares below a per mille are left out.
    """
    shares = np.nan_to_num(row_shares(counts))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:limit]
    cells = np.stack(np.unravel_index(order, shares.shape), axis=1).tolist()
    return [
        Confusion(classes[i], classes[j], float(shares[i, j]), int(counts[i, j]))
        for i, j in cells
        if shares[i, j] >= _SHOWN
    ]


def confusion_matrix(title: str, classes: Sequence[str], counts: Counts) -> Markup:
    """A field for each pair of classes, the stronger the larger the share of the true class.

    Right predictions are blue, wrong ones orange; figures are percent.

    Args:
        title: what was counted.
        classes: names.
        counts: (K, K) pixels; rows are true classes, columns predicted ones.
    """
    size = _CELL * len(classes)
    frame = {"fill": "none", "stroke": "currentColor", "opacity": 2 * FAINT}
    shapes = [
        element("text", "true class ↓, predicted as →", y=12, font_weight=600),
        element("rect", x=_MARGIN, y=_MARGIN, width=size, height=size, **frame),
    ]
    for k, name in enumerate(classes):
        middle = _MARGIN + _CELL * (k + 0.5) + 4
        turned = f"translate({middle} {_MARGIN - 5})rotate(-60)"
        shapes.append(element("text", name, x=_MARGIN - 5, y=middle, text_anchor="end"))
        shapes.append(element("text", name, transform=turned))
    shapes += _fields(classes, counts)
    extent = _MARGIN + size
    # Turned names of the last classes reach over the right border.
    return drawing(extent + _MARGIN // 2, extent + 1, f"Confusion matrix, {title}", *shapes)


def _fields(classes: Sequence[str], counts: Counts) -> list[Markup]:
    """Coloured fields with tooltips, and their figures."""
    shares = row_shares(counts)
    fields: dict[str, list[Markup]] = {BLUE: [], ORANGE: []}
    figures = []
    for i, j in np.argwhere(shares >= _SHOWN).tolist():
        share, color = float(shares[i, j]), BLUE if i == j else ORANGE
        opacity = math.sqrt(share)  # small shares are seen as well
        x, y = _MARGIN + _CELL * j, _MARGIN + _CELL * i
        text = f"{classes[i]} → {classes[j]} {share:.1%}, {counts[i, j]:,} pixels"
        outline = f"M{x} {y}h{_CELL}v{_CELL}h-{_CELL}z"
        field = element("path", element("title", text), d=outline, fill_opacity=opacity)
        fields[color].append(field)
        if share >= _WRITTEN:
            ink = {"fill": _INKS[color]} if opacity > _STRONG else {}
            place = {"x": x + _CELL / 2, "y": y + _CELL / 2 + 3}
            figures.append(element("text", f"{100 * share:.0f}", **place, **ink))
    colored = (element("g", *found, fill=color) for color, found in fields.items())
    style = {"font_size": 9, "text_anchor": "middle", "pointer_events": "none"}
    return [*colored, element("g", *figures, **style)]
