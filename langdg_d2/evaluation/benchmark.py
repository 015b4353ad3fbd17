"""Benchmark files: `benchmark.md` for people, `.json` and `.csv` unrounded for programs."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ..structures.files import write_atomically
from .markdown import benchmark_markdown
from .multi_domain import evaluate_domains
from .record import BenchmarkRun, benchmark_record
from .results import (
    CLASS_ACCURACY,
    TASK,
    Results,
    headline_figures,
    ordered_domains,
    row_label,
    scored_classes,
    union,
)

RECORD = "benchmark.json"


def run_benchmark(
    model: Callable[[Any], Any],
    loaders: Mapping[str, Iterable[Any]],
    evaluators: Mapping[str, DatasetEvaluator | list[DatasetEvaluator]],
    run: BenchmarkRun,
    output_dir: str | Path,
) -> dict[str, dict[str, float]]:
    """Score a model on all domains and write the benchmark files; every process must call this.

    Args: those of `evaluate_domains`, which takes source and groups from `run`, and of
    `write_benchmark`.

    Returns:
        `headline_figures`.
    """
    source = run.source if run.source in loaders else None
    results = evaluate_domains(model, loaders, evaluators, source=source, groups=run.groups)
    if comm.is_main_process():
        write_benchmark(results, run, output_dir)
    return headline_figures(results)


def benchmark_csv(results: Results, run: BenchmarkRun) -> str:
    """A line per domain and mean: what was measured how, then every metric but accuracy by class.

    Figures are percent with all their digits, missing ones empty.

    Raises:
        ValueError: if the results hold no scores.
    """
    domains = ordered_domains(results, run.source)
    tables = {domain: results[domain].get(TASK, {}) for domain in domains}
    metrics = [key for key in union(tables.values()) if not key.startswith(CLASS_ACCURACY)]
    header = ["domain", "source", "protocol", "inference", "scored_classes", *metrics]
    return csv_text(
        header,
        [
            [
                row_label(domain),
                run.source or "",
                run.protocol,
                run.inference,
                scored_classes(table),
                *(csv_number(table.get(metric)) for metric in metrics),
            ]
            for domain, table in tables.items()
        ],
    )


def csv_text(header: list[str], lines: list[list[str]]) -> str:
    """Comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def csv_number(value: float | None) -> str:
    """All digits of a number; nothing for NaN and None."""
    return "" if value is None or math.isnan(value) else repr(value)


def write_benchmark(results: Results, run: BenchmarkRun, output_dir: str | Path) -> None:
    """Write the three files, replacing earlier ones; main process only.

    Raises:
        ValueError: if the results hold no scores; nothing is written then.
    """
    record = json.dumps(benchmark_record(results, run), indent=2, allow_nan=False) + "\n"
    texts = {
        "benchmark.md": benchmark_markdown(results, run),
        "benchmark.csv": benchmark_csv(results, run),
        RECORD: record,
    }
    directory = Path(output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(directory / name, text.encode())
