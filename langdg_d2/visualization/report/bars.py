"""IoU of every class as bars: a panel for each domain."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from ...evaluation.markdown import percent
from ..figures import BLUE, FAINT, ORANGE, TEXT, panel, plain, room

_LENGTH, _ROW = 1.7, 0.18  # inches, of 100 % and of a class
_MARGINS = {"top": 0.3, "right": 0.5, "bottom": 0.25}
_RIGHT = 1.26  # where figures end, as part of the axis


def bars_figure(
    title: str, ious: Mapping[str, float], *, mean: float, reference: Mapping[str, float]
) -> Figure:
    """A bar for each class with its figure, and a tick where the reference is.

    Args:
        title: above the bars.
        ious: percent by class; classes without one get a dash.
        mean: mean IoU in percent.
        reference: percent by class, where there is one.
    """
    names, places = [plain(name) for name in ious], range(len(ious))
    figure, axes = panel((_LENGTH, _ROW * len(ious)), left=room(names), **_MARGINS)
    lengths = [0 if math.isnan(iou) else iou for iou in ious.values()]
    axes.barh(places, lengths, height=0.65, color=BLUE)
    ticks = [reference.get(name, math.nan) for name in ious]
    axes.plot(ticks, places, "|", color=ORANGE, markersize=10, markeredgewidth=2.5)
    style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": "small"}
    for place, iou in enumerate(ious.values()):
        axes.text(_RIGHT, place, percent(iou), transform=axes.get_yaxis_transform(), **style)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))
    axes.set_ylim(len(ious) - 0.5, -0.5)  # the first at the top
    axes.set_yticks(places, names)
    axes.tick_params(labelsize="small", length=0)
    axes.grid(axis="x", color=TEXT, alpha=FAINT)
    axes.spines[:].set_visible(False)
    figure.suptitle(f"{plain(title)}: {percent(mean)}", fontsize="medium", y=1, va="top")
    return figure
