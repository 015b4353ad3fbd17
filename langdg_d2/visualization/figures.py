"""Figures of reports."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator

from ..evaluation.tables import percent
from ..structures import ChannelStats

# Okabe and Ito's palette, which is safe for all kinds of colour vision. All except the last
# contrast with light and dark pages, also as lines.
DISTINCT = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
BLUE, ORANGE, *_ = DISTINCT
OTHER = "#9a9a9a"
TEXT = "black"  # pages replace it with their text colour
ON_DARK, ON_BRIGHT = "#f5f5f5", "#111111"  # text on colours, the same on all pages
FAINT = 0.15  # opacity of grid lines
_SMALL_SHARE = 0.001  # smaller confusions are not shown
_CHARACTER = 0.07  # width in inches, in small text
_LONGEST = 40  # characters of a text in a figure
_SMOOTHED = 100  # points of a curve; longer curves are smoothed


def bars_figure(
    title: str, values: pd.Series, *, mean: float = math.nan, reference: pd.Series | None = None
) -> Figure:
    """Draw a bar with its number for each row, and a tick at the reference.

    Args:
        title: title, followed by the mean if given.
        values: percent by name; NaN is shown as a dash.
        mean: mean in percent.
        reference: percent by name; names without a reference get no tick.
    """
    names, places = [plain(name) for name in values.index], range(len(values))
    margins = {"left": room(names), "top": 0.3, "right": 0.5, "bottom": 0.25}
    figure, axes = panel((1.7, 0.18 * len(values)), **margins)
    axes.barh(places, values.fillna(0), height=0.65, color=BLUE)
    if reference is not None:
        ticks = reference.reindex(values.index)
        axes.plot(ticks, places, "|", color=ORANGE, markersize=10, markeredgewidth=2.5)
    style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": "small"}
    for place, value in enumerate(values):  # to the right of the bars, which end at 1
        axes.text(1.26, place, percent(value), transform=axes.get_yaxis_transform(), **style)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))
    axes.set_ylim(len(values) - 0.5, -0.5)  # the first at the top
    axes.set_yticks(places, names)
    axes.tick_params(labelsize="small", length=0)
    axes.grid(axis="x", color=TEXT, alpha=FAINT)
    axes.spines[:].set_visible(False)
    text = plain(title) + ("" if math.isnan(mean) else f": {percent(mean)}")
    figure.suptitle(text, fontsize="medium", y=1, va="top")
    return figure


def row_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Normalise the counts of each true class (row); 0 for classes without pixels."""
    return counts.div(counts.sum(axis=1), axis=0).fillna(0)


def largest_confusions(counts: pd.DataFrame, limit: int = 8) -> pd.DataFrame:
    """List the confusions with the largest shares of their true class, the largest first.

    Args:
        counts: pixels by true class (row) and predicted class (column).
        limit: maximum number; shares below 0.1 % are left out.
    """
    shares = row_shares(counts).to_numpy().copy()
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:limit]
    truth, prediction = np.unravel_index(order[shares.flat[order] >= _SMALL_SHARE], shares.shape)
    return pd.DataFrame(
        {
            "true class": counts.index[truth],
            "predicted as": counts.columns[prediction],
            "share": [f"{share:.1%}" for share in shares[truth, prediction]],
            "pixels": counts.to_numpy()[truth, prediction],
        }
    )


def matrix_figure(counts: pd.DataFrame) -> Figure:
    """Draw a confusion matrix; the colour of a cell shows the share of the true class.

    Correct predictions are blue and wrong ones orange; numbers are percent.

    Args:
        counts: pixels by true class (row) and predicted class (column).
    """
    names = [plain(name) for name in counts.columns]
    side, margin = 0.24 * len(names), room(names)
    # Rotated names of the last classes exceed the right border.
    margins = {"left": margin, "top": margin + 0.2, "right": margin / 2, "bottom": 0.05}
    figure, axes = panel((side, side), **margins)
    shares = row_shares(counts).to_numpy()
    right = np.eye(len(names), dtype=bool)
    # The square root makes small shares visible.
    opacity = np.where(shares >= _SMALL_SHARE, np.sqrt(shares), 0)
    colors = np.where(right[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    axes.imshow(np.dstack([colors, opacity]), interpolation="none")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "x-small"}
    for i, j in np.argwhere(shares >= 0.005).tolist():
        ink = (ON_DARK if i == j else ON_BRIGHT) if opacity[i, j] > 0.75 else TEXT
        axes.text(j, i, f"{100 * shares[i, j]:.0f}", color=ink, **style)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(labelsize="small", length=0)
    heading: dict[str, Any] = {"x": 0, "y": 1, "ha": "left", "va": "top", "fontsize": "medium"}
    figure.suptitle("true class ↓, predicted as →", **heading)
    axes.spines[:].set_alpha(2 * FAINT)
    return figure


def histogram_figure(values: pd.Series) -> Figure:
    """Draw a histogram of images by percent, with a line at the median; NaN is left out."""
    figure, axes = panel((3.0, 0.7), left=0.4, top=0.1, right=0.3, bottom=0.25)
    if not (known := values.dropna()).empty:
        axes.hist(known, bins=25, range=(0, 100), color=BLUE, rwidth=0.9)
        axes.axvline(known.median(), color=ORANGE, linewidth=2)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axes.tick_params(labelsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def curves_figure(
    title: str, curves: pd.DataFrame, *, from_zero: bool = True, emphasized: str = ""
) -> Figure:
    """Draw curves over the iterations, with a legend that gives their last values.

    A long curve is drawn faintly, under its moving average.

    Args:
        title: title with the unit.
        curves: a column per curve, by iteration; NaN for missing points.
        from_zero: whether the axis of values starts at zero.
        emphasized: name of a curve to draw thicker and in the text colour.
    """
    series = {name: curves[name].dropna() for name in curves}
    # The number comes first, because matplotlib hides labels that begin with an underscore.
    labels = {name: f"{values.iloc[-1]:.4g} {plain(name)}" for name, values in series.items()}
    height = 2.3
    margins = {"left": 0.65, "top": 0.3, "right": 0.6 + room(labels.values())}
    bottom = max(0.5, 0.18 * len(series) - height)  # a long legend needs more space
    figure, axes = panel((4.6, height), bottom=bottom, **margins)
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=DISTINCT[:6]))
    strong = {"color": TEXT, "linestyle": "-", "linewidth": 2.2}
    for name, values in series.items():
        window = max(1, len(values) // _SMOOTHED)
        smooth = values.rolling(window, center=True, min_periods=1).mean()
        style: dict[str, Any] = strong if name == emphasized else {}
        marker = "." if len(values) < _SMOOTHED / 2 else ""
        (line,) = axes.plot(smooth.index, smooth, label=labels[name], marker=marker, **style)
        if window > 1:
            axes.plot(values.index, values, "-", color=line.get_color(), alpha=2 * FAINT)
    axes.set_xlim(left=0)
    if from_zero:
        axes.set_ylim(bottom=min(0.0, axes.dataLim.y0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("iteration", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color=TEXT, alpha=FAINT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1.04), frameon=False, fontsize="small")
    return figure


def restyling_figure(
    own: ChannelStats, mixed: ChannelStats, classes: Sequence[str], colors: Mapping[str, Any]
) -> Figure:
    """Draw a line per patch from its own statistics to the mixed ones.

    Restyled features cannot be shown as images, but their statistics, averaged over channels, can.

    Args:
        own, mixed: (N, C, rows, cols).
        classes: class name of each patch, in the order of images, rows and columns.
        colors: colour by class; other classes are grey.
    """
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    # (2, 2, patches): own and mixed; the average mean and the average standard deviation.
    points = np.array([[part.mean(1).flatten().tolist() for part in s] for s in (own, mixed)])
    member = np.array(classes)
    for name in dict.fromkeys(classes):
        color = colors.get(name, OTHER)
        before, after = points[..., member == name]
        axes.plot(*np.stack([before, after], axis=1), color=color, linewidth=0.8, alpha=0.5)
        axes.scatter(before[0], before[1], s=16, facecolors="none", edgecolors=color)
        axes.scatter(
            after[0], after[1], s=16, color=color, label=f"{before.shape[1]} {plain(name)}"
        )
    axes.set_title(f"{len(member)} patches: own statistics (rings) and mixed ones (dots)")
    axes.set_xlabel("mean, averaged over channels")
    axes.set_ylabel("standard deviation, averaged over channels")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def rgb(color: str) -> tuple[int, int, int]:
    """Convert a colour such as "#0072B2" to red, green and blue in 0..255."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def panel(
    size: tuple[float, float], *, left: float, top: float, right: float, bottom: float
) -> tuple[Figure, Axes]:
    """Create a figure with one plot; size and margins are in inches, as layout engines are slow."""
    width, height = left + size[0] + right, bottom + size[1] + top
    figure = Figure(figsize=(width, height))
    place = (left / width, bottom / height, size[0] / width, size[1] / height)
    return figure, figure.add_axes(place)


def room(texts: Iterable[str]) -> float:
    """Compute the width in inches of the longest of some small texts."""
    return _CHARACTER * (max(map(len, texts)) + 1)


def plain(text: str) -> str:
    """Make an external text safe for a figure: printable, short and not a formula."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return shown.replace("$", r"\$")
