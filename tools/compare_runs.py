#!/usr/bin/env python
"""Compare two runs, to find out why their scores differ; prints Markdown.

    python tools/compare_runs.py output/mine output/theirs > comparison.md

The command reads the benchmark.json files that training and `train_net.py --eval-only` write to
their output folders. It prints the scores of both runs, then the differences in scoring, training,
config, data, styles, versions and machine.
"""

import argparse
from collections.abc import Sequence

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("runs", nargs=2, metavar="RUN", help="output folder of a run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

import hashlib
from typing import Any

import pandas as pd

from langdg_d2.engine import training_differences
from langdg_d2.evaluation import read_benchmark, record_rows
from langdg_d2.evaluation.tables import HEADLINES, markdown_table, percent
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.provenance import differing

Record = dict[str, Any]
Pairs = dict[str, tuple[Any, Any]]  # values of both runs by key

MOST = 20  # rows of a section
WIDTH = 80  # characters of a value
SCORING = ("protocol", "inference", "source", "scored_classes", "seed", "weights")


def figures(one: Record, other: Record) -> pd.DataFrame:
    """Scores of both runs by domain, and their differences."""
    a, b = (record_rows(x).reindex(columns=list(HEADLINES)).stack() for x in (one, other))
    scores = pd.DataFrame({"A": a, "B": b})
    texts = scores.map(percent).rename(index=HEADLINES)
    texts["B - A"] = [percent(more, "+") for more in scores["B"] - scores["A"]]
    return texts.rename_axis(["domain", "figure"]).reset_index()


def data(record: Record) -> Record:
    """Identify images and labels by file fingerprints and checksums of pixel counts."""
    pixels = record.get("label_pixels", {})
    checksums = {d: hashlib.sha256(str(x).encode()).hexdigest()[:8] for d, x in pixels.items()}
    return {
        "images": record.get("images"),
        "label pixels": {d: f"{sum(x):,}, checksum {checksums[d]}" for d, x in pixels.items()},
        "remarks": record.get("sets"),
    }


def differences(one: Record, other: Record) -> dict[str, Pairs]:
    """Differences that may explain a difference in scores, by section, the likeliest first."""
    trained = [record.get("trained") or {} for record in (one, other)]
    of_training = training_differences(*trained) if all(trained) else {}
    if any(trained) and not all(trained):
        of_training = {"settings": tuple("recorded" if known else None for known in trained)}
    of_config = differing(one.get("config"), other.get("config"))
    code = [{**x["versions"], "commit": x.get("git")} for x in (one, other)]
    return {
        "scoring": differing(*({key: x.get(key) for key in SCORING} for x in (one, other))),
        "training": of_training,
        "config": {key: pair for key, pair in of_config.items() if key not in of_training},
        "data": differing(data(one), data(other)),
        "styles": differing(one.get("styles"), other.get("styles")),
        "versions": differing(*code),
        "machine": differing(one.get("environment"), other.get("environment")),
    }


def comparison(names: Sequence[str], one: Record, other: Record) -> str:
    """Format the comparison as Markdown."""
    found = differences(one, other)
    rows = []
    for section, pairs in found.items():
        for key, values in list(pairs.items())[:MOST]:
            rows.append((section, key, *("-" if x is None else f"{x!s:.{WIDTH}}" for x in values)))
        if len(pairs) > MOST:
            rows.append((section, f"{len(pairs) - MOST} more", "", ""))
    same = [section for section, pairs in found.items() if not pairs]
    parts = [f"# A: {names[0]}, B: {names[1]}", markdown_table(figures(one, other))]
    parts += ["## What differs"]
    parts += [markdown_table(pd.DataFrame(rows, columns=["in", "what", "A", "B"]))] if rows else []
    parts += [f"The same in both: {', '.join(same)}."] if same else []
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read both records and print the comparison."""
    runs = parse(arguments).runs
    with report_errors():
        print(comparison(runs, *map(read_benchmark, runs)), end="")


if __name__ == "__main__":
    main()
