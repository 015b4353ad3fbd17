"""What was measured, as a table, as JSON, and as curves."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from tabulate import tabulate

from ..structures.files import replacing, write_atomically
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
        "the first row; 'of peak' the share of what a large product of matrices reaches in the "
        f"same precision, {first.peak / _GIGA:,.0f} GFLOP/s in the first row.\n\n"
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
    if any(result.variant.value for result in results):
        draw_curves(results, folder / "curves.png")
    return text


def draw_curves(results: Sequence[Result], file: Path) -> None:
    """Seconds, rate and memory over the values that vary; a line for plain and for fast paths."""
    panels = {
        "seconds a step": lambda r: r.timings.median(),
        f"{results[0].unit} a second": lambda r: r.rate,
        "memory, GB": lambda r: r.memory / _GIGA,
    }
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels))
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        for plain, label in ((False, "this project"), (True, "plain float32")):
            line = [r for r in results if r.variant.plain == plain and r.variant.value]
            if line:
                axis.plot(
                    [r.variant.value for r in line], list(map(value, line)), "o-", label=label
                )
        axis.set_title(title)
        axis.set_ylim(bottom=0)
    axes[0].legend()
    with replacing(file) as opened:
        figure.savefig(opened, dpi=120, format="png")
