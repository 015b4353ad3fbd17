"""The results as `table.md` for people, and unrounded as `table.csv` and `table.json`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from langdg_d2.evaluation.benchmark import csv_number, csv_text
from langdg_d2.evaluation.markdown import MISSING, markdown_table
from langdg_d2.evaluation.results import MEAN
from langdg_d2.styles import StyleBank
from langdg_d2.utils.file_io import write_atomically
from streets.domains import Domain
from streets.experiment.results import CellResult, Spread, full_minus

MEAN_TITLE = "mean of unseen"


def columns(source: Domain, unseen: Sequence[Domain]) -> dict[str, str]:
    """Titles of the scores by their keys in the records: unseen looks, their mean, the source."""
    looks = {domain.name: domain.look for domain in unseen}
    return {**looks, MEAN: MEAN_TITLE, source.name: f"{source.look} (source)"}


def write_tables(
    folder: Path,
    results: Sequence[CellResult],
    *,
    titles: Mapping[str, str],
    facts: Mapping[str, str],
) -> None:
    """Write the three files.

    Args:
        folder: where to.
        results: cells that have been scored.
        titles: of `columns`.
        facts: what to say below the table.
    """
    texts = {
        "table.md": table_markdown(results, titles, facts),
        "table.csv": table_csv(results, titles),
        "table.json": json.dumps(table_record(results, titles, facts), indent=1) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())


def table_markdown(
    results: Sequence[CellResult], titles: Mapping[str, str], facts: Mapping[str, str]
) -> str:
    """Mean ± standard deviation of every cell, and what was measured how."""
    cells = {
        "variant": [result.cell.title for result in results],
        "freeze": ["yes" if result.cell.freeze else "no" for result in results],
        "augment": [result.cell.augment for result in results],
        "mix": ["yes" if result.cell.mix else "no" for result in results],
    }
    for key, title in titles.items():
        cells[title] = [str(result.miou(key)) for result in results]
    cells["full minus this"] = [str(full_minus(results, result)) for result in results]
    cells["training, s"] = [_whole(result.seconds.mean) for result in results]
    cells["seeds"] = [str(len(result.runs)) for result in results]
    parts = [
        "# Variants of the recipe on streets",
        markdown_table(cells),
        "Mean IoU in percent over the classes that occur, mean ± sample standard deviation over "
        f"seeds. '{MEAN_TITLE}' is over looks first; 'full minus this' is the full recipe's figure "
        "there less the variant's, seed by seed; training is given without interruptions.",
        *_mined_styles(results),
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
    ]
    return "\n\n".join(parts) + "\n"


def table_csv(results: Sequence[CellResult], titles: Mapping[str, str]) -> str:
    """A line a cell, with all digits; empty where there is no figure."""
    header = ["cell", "seeds", "training_seconds", "full_minus_this", "full_minus_this_std"]
    for title in titles.values():
        header += [title, f"{title} std"]
    lines = []
    for result in results:
        difference = full_minus(results, result)
        spreads = [difference, *(result.miou(key) for key in titles)]
        figures = [result.seconds.mean, *(v for s in spreads for v in (s.mean, s.std))]
        seeds = " ".join(map(str, result.runs))
        lines.append([result.cell.name, seeds, *map(csv_number, figures)])
    return csv_text(header, lines)


def table_record(
    results: Sequence[CellResult], titles: Mapping[str, str], facts: Mapping[str, str]
) -> dict[str, Any]:
    """The same with the scores of every seed; JSON types, None where there is no figure."""
    return {
        "facts": dict(facts),
        "cells": {
            result.cell.name: {
                "title": result.cell.title,
                "seeds": list(result.runs),
                "training_seconds": _plain(result.seconds),
                "full_minus_this": _plain(full_minus(results, result)),
                "mIoU": {
                    title: _plain(result.miou(key)) | {"runs": list(result.by_seed(key).values())}
                    for key, title in titles.items()
                },
            }
            for result in results
        },
    }


def _plain(spread: Spread) -> dict[str, Any]:
    pairs = {"mean": spread.mean, "std": spread.std}
    return {name: None if math.isnan(value) else value for name, value in pairs.items()}


def _whole(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.0f}"


def _mined_styles(results: Sequence[CellResult]) -> list[str]:
    """How many styles were mined, and their similarity to their texts, over seeds."""
    lines: dict[str, list[str]] = {"mined for": [], "styles": [], "before": [], "after": []}
    known: set[Path] = set()
    for result in results:
        files = {file for run in result.runs.values() if (file := run.bank) and file.is_file()}
        if not files or files <= known:
            continue
        known |= files
        banks = [StyleBank.load(file) for file in files]
        lines["mined for"].append(result.cell.title)
        lines["styles"].append(f"{fmean(map(len, banks)):.0f}")
        for title in ("before", "after"):
            cosines = [float(getattr(bank, f"cosine_{title}").mean()) for bank in banks]
            lines[title].append(Spread.of(cosines).text(digits=3))
    if not known:
        return []
    return ["Mean cosine between patch and text, before and after mining:", markdown_table(lines)]
