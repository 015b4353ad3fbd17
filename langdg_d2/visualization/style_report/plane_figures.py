"""Figures of where styles lie: the projection, twice coloured, and the distances of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure, SubFigure

from ..figures import DISTINCT, ON_BRIGHT, ON_DARK, OTHER, plain
from .class_colors import ClassColors
from .distances import ClassDistances
from .projection import Projection

_MARKERS = "os^Dv<>Xph*P"  # classes of like colours differ by them
_LARGEST, _SMALLEST = 24.0, 5.0  # area of a marker
_MANY = 500  # styles from which on markers are smaller
_REST = "(others)"
_CELL = 0.42  # inches
_MOST_NUMBERS = 12.0  # inches; a larger matrix shows colours alone


def projection_figure(
    projection: Projection,
    *,
    classes: Sequence[str],
    prompts: Sequence[str],
    colors: ClassColors,
) -> Figure:
    """The styles in their plane, coloured by class and, beside it, by style prompt.

    Args:
        projection: of S styles.
        classes: name of each style's class.
        prompts: style prompt of each; the most frequent get a colour each.
        colors: of the classes.
    """
    figure = Figure(figsize=(12, 6.8), layout="constrained")
    halves = figure.add_gridspec(1, 2)
    left, right = (figure.add_subfigure(halves[0, k]) for k in range(2))
    present = [name for name in colors if name in set(classes)]
    _scatter(left, projection, classes, {name: colors[name] for name in present})
    left.suptitle("by class")
    frequent = [name for name, _ in Counter(prompts).most_common(len(DISTINCT))]
    named = [name if name in frequent else _REST for name in prompts]
    rest = {_REST: OTHER} if _REST in named else {}
    _scatter(right, projection, named, rest | dict(zip(frequent, DISTINCT, strict=False)))
    right.suptitle("by style prompt")
    return figure


def distance_figure(distances: ClassDistances) -> Figure:
    """Matrix of the distances of classes, their spreads on its diagonal."""
    names = [plain(name) for name in distances.names]
    values = distances.centers.numpy().copy()
    np.fill_diagonal(values, distances.spreads.numpy())
    side = _CELL * len(names) + 2.2
    figure = Figure(figsize=(side + 0.8, side), layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(values, cmap="cividis", vmin=0)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    figure.colorbar(image, ax=axes, shrink=0.7, label="distance (diagonal: spread)")
    if side <= _MOST_NUMBERS:
        middle = values.max() / 2
        for row, col in np.ndindex(values.shape):
            ink = ON_DARK if values[row, col] < middle else ON_BRIGHT
            text = f"{values[row, col]:.2g}"
            axes.text(col, row, text, ha="center", va="center", color=ink, fontsize="x-small")
    return figure


def _scatter(
    part: SubFigure, projection: Projection, groups: Sequence[str], colors: Mapping[str, object]
) -> None:
    axes = part.subplots()
    points = projection.points.numpy()
    size = min(_LARGEST, max(_SMALLEST, _LARGEST * (_MANY / len(points)) ** 0.5))
    member = np.array(groups)
    for k, (name, color) in enumerate(colors.items()):
        own = points[member == name]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=size,
            color=[color],
            marker=_MARKERS[k % len(_MARKERS)],
            edgecolors="white",
            linewidths=size / 60,
            # Behind the number: matplotlib hides labels that begin with an underscore.
            label=f"{len(own)} {plain(name)}",
            rasterized=True,
        )
    axes.set_xlabel(projection.axes[0])
    axes.set_ylabel(projection.axes[1])
    axes.tick_params(labelsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    scale = (_LARGEST / size) ** 0.5
    part.legend(
        loc="outside lower center", ncols=3, frameon=False, fontsize="small", markerscale=scale
    )
