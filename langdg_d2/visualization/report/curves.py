"""Curves over the iterations of a training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..html import Markup
from .results_folder import Series
from .svg import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    drawing,
    element,
    line,
    points,
)

_COLORS = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
_DASHES = ("", "6 3", "2 3")  # for further curves of the same colours
_WIDTH, _HEIGHT = 440, 220  # pixels, of the plot
_LEFT, _TOP, _BOTTOM = 56, 30, 40
_LEGEND = 230
_ROW = 17  # of the legend
_TICKS = 5  # about so many
_MOST_POINTS = 200  # more are averaged

Values = npt.NDArray[np.float64]


class Condensed(NamedTuple):
    """A curve of few points, each for a stretch of iterations: means and extremes."""

    iterations: Values
    mean: Values
    low: Values
    high: Values


def chart(
    title: str, curves: Mapping[str, Series], *, from_zero: bool = True, emphasized: str = ""
) -> Markup:
    """Curves in one plot, with a legend that gives their last values.

    Curves of many points are condensed: the line is the mean of a stretch of iterations, a band
    shows its extremes.

    Args:
        title: with the unit.
        curves: values by iteration, by name.
        from_zero: whether the axis of values begins at zero.
        emphasized: curve drawn strong, in the colour of text.
    """
    condensed = {name: condense(series) for name, series in curves.items()}
    horizontal = _axis([c.iterations for c in condensed.values()], from_zero=True)
    bounds = [part for c in condensed.values() for part in (c.low, c.high)]
    vertical = _axis(bounds, from_zero=from_zero)
    shapes = [element("text", title, y=14, font_weight=600, font_size=13)]
    shapes += _grid(horizontal, vertical)
    ordinary = [name for name in curves if name != emphasized]
    looks = {name: _look(k) for k, name in enumerate(ordinary)}
    looks[emphasized] = {"stroke": "currentColor", "stroke_width": 2.5}
    for row, (name, curve) in enumerate(condensed.items()):
        shapes += _curve(curve, looks[name], horizontal, vertical)
        text = f"{name} {_tick(float(list(curves[name].values())[-1]))}"
        shapes += _legend_entry(text, looks[name], row)
    height = max(_TOP + _HEIGHT + _BOTTOM, _TOP + _ROW * len(curves))
    width = _LEFT + _WIDTH + _LEGEND
    return drawing(width, height, f"{title} over the iterations", *shapes)


def condense(series: Series, limit: int = _MOST_POINTS) -> Condensed:
    """Stretches of neighbouring points as one each, so that at most `limit` are left."""
    iterations = np.array(list(series), np.float64)
    values = np.array(list(series.values()), np.float64)
    stretches = np.array_split(np.arange(len(values)), min(limit, len(values)))
    columns = [
        [reduce(array[part]) for part in stretches]
        for array, reduce in (
            (iterations, np.mean),
            (values, np.mean),
            (values, np.min),
            (values, np.max),
        )
    ]
    return Condensed(*(np.array(column, np.float64) for column in columns))


class _Axis(NamedTuple):
    low: float
    high: float
    step: float

    def ticks(self) -> list[float]:
        first, last = round(self.low / self.step), round(self.high / self.step)
        return [k * self.step for k in range(first, last + 1)]

    def share(self, values: Values | float) -> Any:
        return (values - self.low) / (self.high - self.low)


def _axis(parts: Sequence[Values], *, from_zero: bool) -> _Axis:
    """From one round number to another."""
    low = min(float(part.min()) for part in parts)
    high = max(float(part.max()) for part in parts)
    low = min(low, 0.0) if from_zero else low
    if low == high:
        high = low + (abs(low) or 1.0)
    step = _step(high - low)
    return _Axis(step * math.floor(low / step), step * math.ceil(high / step), step)


def _step(extent: float) -> float:
    """A round distance of ticks."""
    rough = extent / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)


def _grid(horizontal: _Axis, vertical: _Axis) -> list[Markup]:
    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    shapes = []
    for tick in vertical.ticks():
        y = _y(vertical, tick)
        shapes.append(line(_LEFT, y, right, y, opacity=FAINT))
        shapes.append(element("text", _tick(tick), x=_LEFT - 6, y=y + 4, text_anchor="end"))
    for tick in horizontal.ticks():
        x = _x(horizontal, tick)
        shapes.append(line(x, bottom, x, bottom + 4, opacity=2 * FAINT))
        shapes.append(element("text", f"{tick:,.0f}", x=x, y=bottom + 17, text_anchor="middle"))
    shapes.append(line(_LEFT, bottom, right, bottom, opacity=2 * FAINT))
    shapes.append(
        element("text", "iteration", x=_LEFT + _WIDTH / 2, y=bottom + 34, text_anchor="middle")
    )
    return shapes


def _curve(
    curve: Condensed, look: Mapping[str, Any], horizontal: _Axis, vertical: _Axis
) -> list[Markup]:
    xs = _x(horizontal, curve.iterations)
    shapes = []
    if (curve.low < curve.high).any():
        outline = np.concatenate([curve.high, curve.low[::-1]])
        band = points(np.concatenate([xs, xs[::-1]]), _y(vertical, outline))
        shapes.append(element("polygon", points=band, fill=look["stroke"], opacity=FAINT))
    ys = _y(vertical, curve.mean)
    shapes.append(element("polyline", points=points(xs, ys), fill="none", **look))
    if len(xs) < _MOST_POINTS / 4:
        shapes += [
            element("circle", cx=float(x), cy=float(y), r=2.5, fill=look["stroke"])
            for x, y in zip(xs, ys, strict=True)
        ]
    return shapes


def _legend_entry(text: str, look: Mapping[str, Any], row: int) -> list[Markup]:
    x, y = _LEFT + _WIDTH + 14, _TOP + _ROW * (row + 0.5)
    return [line(x, y, x + 22, y, **look), element("text", text, x=x + 28, y=y + 4)]


def _look(index: int) -> dict[str, Any]:
    cycle, color = divmod(index, len(_COLORS))
    look = {"stroke": _COLORS[color], "stroke_width": 1.5}
    dash = _DASHES[cycle % len(_DASHES)]
    return look | ({"stroke_dasharray": dash} if dash else {})


def _x(axis: _Axis, values: Any) -> Any:
    return _LEFT + _WIDTH * axis.share(values)


def _y(axis: _Axis, values: Any) -> Any:
    return _TOP + _HEIGHT * (1 - axis.share(values))


def _tick(value: float) -> str:
    """A number with few digits; zero without a rounding error."""
    return f"{round(value, 12):.4g}"
