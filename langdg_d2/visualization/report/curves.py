"""Curves over the iterations of a training."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator

from ..figures import DISTINCT, FAINT, TEXT, panel, plain, room
from .results_folder import Series

_LOOKS = cycler(linestyle=["-", "--", ":"]) * cycler(color=DISTINCT[:6])
_STRONG: dict[str, Any] = {"color": TEXT, "linestyle": "-", "linewidth": 2.2}
# Inches.
_WIDTH, _HEIGHT = 4.6, 2.3
_LEFT, _TOP, _BOTTOM = 0.65, 0.3, 0.5
_LEGEND_ROW, _LEGEND_LINE = 0.18, 0.6
_MOST_POINTS = 200  # more are averaged

Values = npt.NDArray[np.float64]


class Condensed(NamedTuple):
    """A curve of few points, each for a stretch of iterations: means and extremes."""

    iterations: Values
    mean: Values
    low: Values
    high: Values


def curves_figure(
    title: str, curves: Mapping[str, Series], *, from_zero: bool = True, emphasized: str = ""
) -> Figure:
    """Curves in one plot, with a legend that gives their last values.

    Curves of many points are condensed: the line is the mean of a stretch of iterations, a band
    shows its extremes.

    Args:
        title: with the unit.
        curves: values by iteration, by name.
        from_zero: whether the axis of values begins at zero.
        emphasized: curve drawn strong, in the colour of text.
    """
    # Behind the number: matplotlib hides labels that begin with an underscore.
    labels = {
        name: f"{[*values.values()][-1]:.4g} {plain(name)}" for name, values in curves.items()
    }
    right = _LEGEND_LINE + room(labels.values())
    bottom = max(_BOTTOM, _LEGEND_ROW * len(curves) - _HEIGHT)
    figure, axes = panel((_WIDTH, _HEIGHT), left=_LEFT, top=_TOP, right=right, bottom=bottom)
    axes.set_prop_cycle(_LOOKS)
    for name, series in curves.items():
        curve = condense(series)
        (line,) = axes.plot(
            curve.iterations,
            curve.mean,
            label=labels[name],
            marker="." if len(curve.mean) < _MOST_POINTS / 4 else "",
            **(_STRONG if name == emphasized else {}),
        )
        if (curve.low < curve.high).any():
            band: dict[str, Any] = {"color": line.get_color(), "alpha": FAINT, "linewidth": 0}
            axes.fill_between(curve.iterations, curve.low, curve.high, **band)
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


def condense(series: Series, limit: int = _MOST_POINTS) -> Condensed:
    """Stretches of neighbouring points as one each, so that at most `limit` are left."""
    points = np.array(list(series.items()), np.float64)
    stretches = np.array_split(points, min(limit, len(points)))
    iterations, mean = np.transpose([stretch.mean(axis=0) for stretch in stretches])
    low, high = (
        np.array([extreme(stretch[:, 1]) for stretch in stretches]) for extreme in (np.min, np.max)
    )
    return Condensed(iterations, mean, low, high)
