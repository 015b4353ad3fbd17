"""Confusion matrices: what the pixels of every class were taken for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..figures import BLUE, FAINT, ON_BRIGHT, ON_DARK, ORANGE, TEXT, panel, plain, room
from .results_folder import Counts

_CELL, _HEADING = 0.24, 0.2  # inches
_SHOWN = 0.001  # smaller shares have no colour
_WRITTEN = 0.005  # smaller shares have no figure
# From this opacity on the colour is too strong for figures in the colour of text.
_STRONG = 0.75


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


def matrix_figure(classes: Sequence[str], counts: Counts) -> Figure:
    """A field for each pair of classes, the stronger the larger the share of the true class.

    Right predictions are blue, wrong ones orange; figures are percent.

    Args:
        classes: names.
        counts: (K, K) pixels; rows are true classes, columns predicted ones.
    """
    names = [plain(name) for name in classes]
    side, margin = _CELL * len(names), room(names)
    # Turned names of the last classes reach over the right border.
    figure, axes = panel(
        (side, side), left=margin, top=margin + _HEADING, right=margin / 2, bottom=0.05
    )
    shares = np.nan_to_num(row_shares(counts))
    fields = _fields(shares)
    axes.imshow(fields, interpolation="none")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "x-small"}
    for i, j in np.argwhere(shares >= _WRITTEN).tolist():
        ink = (ON_DARK if i == j else ON_BRIGHT) if fields[i, j, 3] > _STRONG else TEXT
        axes.text(j, i, f"{100 * shares[i, j]:.0f}", color=ink, **style)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(labelsize="small", length=0)
    heading: dict[str, Any] = {"x": 0, "y": 1, "ha": "left", "va": "top", "fontsize": "medium"}
    figure.suptitle("true class ↓, predicted as →", **heading)
    axes.spines[:].set_alpha(2 * FAINT)
    return figure


def _fields(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(K, K, 4) RGB and opacity in 0..1."""
    right, wrong = to_rgb(BLUE), to_rgb(ORANGE)
    colors = np.where(np.eye(len(shares), dtype=bool)[..., None], right, wrong)
    # Of the root, small shares are seen as well.
    return np.dstack([colors, np.where(shares >= _SHOWN, np.sqrt(shares), 0)])
