"""IoU of every class as bars: a panel for each domain."""

import math
from collections.abc import Mapping

from ...evaluation.markdown import percent
from ..html import Markup
from .svg import BLUE, FAINT, ORANGE, drawing, element, line

_ROW, _BAR = 17, 11  # pixels: distance of rows, height of a bar
_LEFT, _LENGTH, _RIGHT = 86, 160, 40  # pixels: names, 100 %, figures
_TOP, _BOTTOM = 26, 18
_GRID = (0, 25, 50, 75, 100)


def class_bars(
    title: str, ious: Mapping[str, float], *, mean: float, reference: Mapping[str, float]
) -> Markup:
    """A bar for each class with its figure, and a tick where the reference is.

    Args:
        title: above the bars.
        ious: percent by class; classes without one get a dash.
        mean: mean IoU in percent.
        reference: percent by class, where there is one.
    """
    bottom = _TOP + _ROW * len(ious)
    end = {"x": _LEFT + _LENGTH + _RIGHT, "text_anchor": "end"}
    heading = {"y": 14, "font_weight": 600, "font_size": 13}
    shapes = [element("text", title, **heading), element("text", percent(mean), **end, **heading)]
    for value in _GRID:
        x = _place(value)
        shapes.append(line(x, _TOP - 3, x, bottom, opacity=FAINT))
        shapes.append(element("text", value, x=x, y=bottom + 13, text_anchor="middle"))
    for row, (name, iou) in enumerate(ious.items()):
        middle = _TOP + _ROW * (row + 0.5)
        shapes.append(element("text", name, x=_LEFT - 6, y=middle + 4, text_anchor="end"))
        shapes.append(element("text", percent(iou), y=middle + 4, **end))
        if not math.isnan(iou):
            bar = {"x": _LEFT, "y": middle - _BAR / 2, "height": _BAR, "fill": BLUE}
            shapes.append(element("rect", width=_place(iou) - _LEFT, **bar))
        if not math.isnan(reference.get(name, math.nan)):
            x = _place(reference[name])
            shapes.append(line(x, middle - 7, x, middle + 7, stroke=ORANGE, stroke_width=3))
    width = _LEFT + _LENGTH + _RIGHT
    return drawing(width, bottom + _BOTTOM, f"IoU per class, {title}", *shapes)


def _place(value: float) -> float:
    return _LEFT + _LENGTH * value / 100
