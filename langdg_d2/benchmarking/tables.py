"""What was measured, as a table, as JSON, and as curves."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from tabulate import tabulate

from ..utils.file_io import replacing, write_atomically
from .runs import Result
from .timing import TOTAL

_GIGA = 1e9


def table(results: Sequence[Result]) -> str:
    """Markdown: a row for each variant; phases in seconds."""
    phases = list(dict.fromkeys(p for r in results for p in r.timings.seconds if p != TOTAL))
    unit = results[0].unit
    headers = ["variant", "seconds", "spread", *phases, f"{unit} / s", "times", "GFLOP / s"]
    rows = [
        [
            result.variant.name,
            result.timings.median(),
            result.timings.spread(),
            *(result.timings.median(p) if p in result.timings.seconds else None for p in phases),
            result.rate,
            result.rate / results[0].rate,
            result.operations / result.timings.median() / _GIGA,
            f"{result.share_of_peak:.0%}",
            result.memory / _GIGA,
        ]
        for result in results
    ]
    return tabulate(
        rows, [*headers, "of peak", "memory, GB"], tablefmt="pipe", floatfmt=".3g", missingval="-"
    )


def footer(results: Sequence[Result], command: str) -> str:
    """What the figures are, and of which machine."""
    first = results[0]
    steps = len(first.timings.seconds[TOTAL])
    machine = ", ".join(f"{name} {value}" for name, value in first.machine.items())
    return (
        f"Medians of {steps} steps, spread: interquartile range; 'times' is the rate over that of "
        "the first row; 'of peak' the share of what a large product of matrices, as such or as a "
        "convolution, reaches in the same precision, "
        f"{first.peak / _GIGA:,.0f} GFLOP/s in the first row.\n\n"
        f"- command: `{command}`\n- machine: {machine}"
    )


def write(results: Sequence[Result], folder: Path, *, command: str) -> str:
    """Write `benchmark.md` and `benchmark.json`, and `curves.png` where values vary.

    Returns:
        The text of the first.
    """
    text = f"{table(results)}\n\n{footer(results, command)}\n"
    write_atomically(folder / "benchmark.md", text.encode())
    record = {"command": command, "results": [result.as_json() for result in results]}
    write_atomically(folder / "benchmark.json", f"{json.dumps(record, indent=1)}\n".encode())
    if any(result.variant.key for result in results):
        draw_curves(results, folder / "curves.png")
    return text


def draw_curves(results: Sequence[Result], file: Path) -> None:
    """Seconds, rate and memory over what varies: a row for each key, lines for both paths."""
    panels = {
        "seconds a step": lambda r: r.timings.median(),
        f"{results[0].unit} a second": lambda r: r.rate,
        "memory of a process, GB": lambda r: r.memory / _GIGA,
    }
    keys = list(dict.fromkeys(r.variant.key for r in results if r.variant.key))
    figure = Figure(figsize=(12, 3.2 * len(keys)), layout="constrained")
    grid = figure.subplots(len(keys), len(panels), squeeze=False)
    for key, row in zip(keys, grid, strict=True):
        for axis, (title, number) in zip(row, panels.items(), strict=True):
            for plain, label in ((True, "plain float32"), (False, "this project")):
                line = [r for r in results if (r.variant.key, r.variant.plain) == (key, plain)]
                if line:
                    values = [r.variant.value for r in line]
                    axis.plot(values, [number(r) for r in line], "o-", label=label)
            axis.set(title=title, xlabel=key, ylim=(0, None))
        row[0].legend()
    with replacing(file) as opened:
        figure.savefig(opened, dpi=100, format="png")
