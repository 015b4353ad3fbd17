"""Figures of how many styles there are, and of how close mining brought them to their texts."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...styles import StyleBank
from ..figures import DISTINCT, OTHER, number_text, plain
from .class_colors import ClassColors
from .tally import PromptTally, mean_known

MOST_PROMPTS = 30  # bars
_BAR = 0.24  # inches
_COLUMNS = 4  # panels in a row
_BINS = 24


def counts_figure(
    counts: Mapping[str, int], prompts: Sequence[PromptTally], colors: ClassColors
) -> Figure:
    """Bars of the number of styles by class, and by style prompt for the first of the prompts."""
    shown = prompts[:MOST_PROMPTS]
    height = _BAR * max(len(counts), len(shown)) + 1
    figure = Figure(figsize=(10, height), layout="constrained")
    by_class, by_prompt = figure.subplots(1, 2)
    _bars(by_class, list(counts), list(counts.values()), [colors[name] for name in counts])
    by_class.set_title("by class")
    totals = [tally.total for tally in shown]
    _bars(by_prompt, [tally.prompt for tally in shown], totals, [DISTINCT[0]] * len(shown))
    by_prompt.set_title(
        "by style prompt"
        if len(shown) == len(prompts)
        else f"the {len(shown)} most frequent of {len(prompts)} style prompts"
    )
    return figure


def cosine_figure(parts: Sequence[tuple[str, StyleBank]]) -> Figure:
    """Histograms of the cosine of patch and text, before and after mining, a panel for each part.

    Parts of whose styles no cosine is known are left out; so are NaNs elsewhere.

    Args:
        parts: title and styles, the first with all styles; some of its cosines are known.
    """
    parts = [(name, part) for name, part in parts if _known(part).size]
    values = _known(parts[0][1])
    low, high = values.min(), values.max()
    # Bins have some width even where all values are one.
    edges = np.linspace(low, max(high, low + 1e-3), _BINS + 1).tolist()
    rows = math.ceil(len(parts) / _COLUMNS)
    figure = Figure(figsize=(2.6 * _COLUMNS, 1.7 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).flatten()
    for axes, (name, part) in zip(panels, parts, strict=False):
        _histograms(axes, part, edges)
        axes.set_title(f"{plain(name)}: {_gain(part)}", fontsize="small")
    for axes in panels[len(parts) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _bars(axes: Axes, names: list[str], counts: list[int], colors: Sequence[object]) -> None:
    places = range(len(names))
    # The outline shows bars whose colour is the page's.
    bars = axes.barh(places, counts, color=colors, edgecolor=OTHER, linewidth=0.5)
    axes.bar_label(bars, padding=2, fontsize="small")
    axes.set_yticks(places, [plain(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first at the top
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("styles")


def _histograms(axes: Axes, part: StyleBank, edges: Sequence[float]) -> None:
    both = {"before mining": part.cosine_before, "after mining": part.cosine_after}
    for (label, values), color in zip(both.items(), (OTHER, DISTINCT[5]), strict=True):
        known = values[~values.isnan()].numpy()
        axes.hist(known, bins=edges, color=color, alpha=0.65, histtype="stepfilled", label=label)
    axes.tick_params(labelsize="x-small")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def _known(part: StyleBank) -> np.ndarray:
    both = np.concatenate([part.cosine_before.numpy(), part.cosine_after.numpy()])
    return both[~np.isnan(both)]


def _gain(part: StyleBank) -> str:
    before, after = (number_text(mean_known(v)) for v in (part.cosine_before, part.cosine_after))
    return f"{before} \N{RIGHTWARDS ARROW} {after}"
