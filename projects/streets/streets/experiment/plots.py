"""Bars of mean IoU: over all unseen looks, and look by look."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from langdg_d2.evaluation.results import MEAN
from langdg_d2.utils.file_io import replacing
from streets.experiment.cells import FULL, Cell
from streets.experiment.results import CellResult

# Of Okabe and Ito's palette, which people of any colour vision tell apart.
_RECIPE, _FROZEN, _FREE, _OTHER, _ORACLE = "#D55E00", "#E69F00", "#0072B2", "#56B4E9", "#999999"
_LEGEND = {
    "full recipe": _RECIPE,
    "frozen, parts of the recipe": _FROZEN,
    "nothing frozen": _FREE,
    "frozen, other settings": _OTHER,
    "trained on the targets": _ORACLE,
}
_DPI = 130
_BAR = 0.3  # inches
_MARGINS = 1.3  # inches, above and below the bars
_PANELS = 3  # looks in a row


def _color(cell: Cell) -> str:
    if cell.sees_targets:
        return _ORACLE
    if cell.name == FULL:
        return _RECIPE
    if not cell.freeze:
        return _FREE
    return _FROZEN if cell.of_eight else _OTHER


def write_plots(
    folder: Path, results: Sequence[CellResult], *, titles: Mapping[str, str]
) -> list[Path]:
    """Write `mean.png` and `looks.png`: a bar for each cell, its deviation, a dot for each seed.

    Args:
        folder: where to.
        results: cells that have been scored.
        titles: of `tables.columns`.

    Returns:
        The files.
    """
    looks = [key for key in titles if key != MEAN]
    rows = -(-len(looks) // _PANELS)
    height = _BAR * len(results) + _MARGINS
    mean = Figure(figsize=(8, height), dpi=_DPI, layout="constrained")
    _bars(mean.subplots(), results, MEAN, titles[MEAN])
    _explain(mean)
    panels = Figure(figsize=(3 + 2.6 * _PANELS, rows * height), dpi=_DPI, layout="constrained")
    axes = panels.subplots(rows, _PANELS, sharey=True, squeeze=False).flatten()
    for one, key in zip(axes, looks, strict=False):
        _bars(one, results, key, titles[key])
    for one in axes[len(looks) :]:
        one.set_visible(False)
    _explain(panels)
    files = {folder / "mean.png": mean, folder / "looks.png": panels}
    for file, figure in files.items():
        with replacing(file) as opened:
            figure.savefig(opened, format="png")
    return list(files)


def _bars(axes: Axes, results: Sequence[CellResult], key: str, title: str) -> None:
    places = range(len(results))
    spreads = [result.miou(key) for result in results]
    axes.barh(
        places,
        [spread.mean for spread in spreads],
        xerr=[spread.std for spread in spreads],  # NaN, which is not drawn, for a single seed
        color=[_color(result.cell) for result in results],
        error_kw={"elinewidth": 1, "capsize": 2},
    )
    for place, result in zip(places, results, strict=True):
        values = list(result.by_seed(key).values())
        axes.plot(values, [place] * len(values), ".", color="black", markersize=3)
    axes.set_yticks(places, [result.cell.title for result in results])
    axes.set_ylim(len(results) - 0.5, -0.5)  # the first cell at the top
    axes.set_title(title)
    axes.set_xlabel("mIoU, %")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _explain(figure: Figure) -> None:
    """What the colours mean."""
    handles = [Patch(color=color, label=text) for text, color in _LEGEND.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize="small")
