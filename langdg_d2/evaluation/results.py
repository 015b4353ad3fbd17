"""Benchmark files: `benchmark.md` for people, `benchmark.json` unrounded for programs.

Everything is a function of the nested results `{domain: {task: {metric: value}}}` that
`evaluate_domains` returns; values are percent and rounded only for display.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import detectron2
import torch
from tabulate import tabulate

import langdg_d2

from ..structures.files import write_atomically

# {domain: {task: {metric: value}}}
Results = Mapping[str, Mapping[str, Mapping[str, float]]]

TASK = "sem_seg"
MEAN = "mean"
NUM_IMAGES = "num_images"
CLASS_IOU = "IoU-"
CLASS_ACCURACY = "ACC-"
CONVENTIONS = {
    "mIoU": "authors: nan-mean of TP/(TP+FP+FN); a class absent from the ground truth but "
    "predicted counts as 0. The one to compare with FAMix and RobustNet",
    "mIoU_detectron2": "detectron2: mean over the classes with ground-truth pixels only, as "
    "SemSegEvaluator",
}

_HEADLINES = {
    "mIoU": "mIoU (authors)",
    "mIoU_detectron2": "mIoU (detectron2)",
    "pixel_accuracy": "pixel accuracy",
}
_MISSING = "\u2013"  # en dash


@dataclass(frozen=True, kw_only=True)
class BenchmarkRun:
    """What a benchmark was made with.

    Attributes:
        protocol: name of the test protocol, e.g. "full".
        source: domain the model was trained on, if it is among the results.
        config: path of the configuration file.
        seed: seed of the training run.
        sections: more to say in the report, Markdown by heading.
    """

    protocol: str
    source: str | None = None
    config: str | None = None
    seed: int | None = None
    sections: Mapping[str, str] = field(default_factory=dict)


def mean_over_targets(results: Results, *, source: str | None) -> dict[str, dict[str, float]]:
    """Average every metric over the domains other than `source`.

    A metric of one class ("IoU-road") is averaged over the targets that have the class. Any
    other metric is NaN if one target lacks it, so that no mean hides a missing target.

    Returns:
        `{task: {metric: mean}}`, without the number of images.
    """
    targets = [tasks for domain, tasks in results.items() if domain not in (source, MEAN)]
    means: dict[str, dict[str, float]] = {}
    for task in _union(targets):
        tables = [tasks.get(task, {}) for tasks in targets]
        means[task] = {}
        for metric in _union(tables):
            values = [table.get(metric, math.nan) for table in tables]
            if "-" in metric:  # Detectron2 writes the metrics of a class as "<metric>-<class>"
                values = [value for value in values if not math.isnan(value)]
            if metric != NUM_IMAGES:
                means[task][metric] = fmean(values) if values else math.nan
    return means


def headline_figures(results: Results) -> dict[str, dict[str, float]]:
    """Each domain's mean IoUs and pixel accuracy, where they are finite, for training curves.

    Returns:
        `{domain: {metric: percent}}`; off the main process every domain is empty.
    """
    figures = {}
    for domain, tasks in results.items():
        table = tasks.get(TASK, {})
        figures[domain] = {
            metric: table[metric]
            for metric in _HEADLINES
            if math.isfinite(table.get(metric, math.nan))
        }
    return figures


def benchmark_markdown(results: Results, run: BenchmarkRun) -> str:
    """Two tables, a row per domain, and IoU per class with a column per domain; then sections.

    The source comes first and is marked, the mean over the unseen targets last; figures have two
    decimals, missing ones a dash.

    Raises:
        ValueError: if the source is not among the results, or these hold no scores.
    """
    domains = _ordered_domains(results, run.source)
    tables = {domain: results[domain].get(TASK, {}) for domain in domains}
    labels = [_label(domain, run.source) for domain in domains]

    columns = {
        title: [_percent(table, key) for table in tables.values()]
        for key, title in _HEADLINES.items()
    }
    if any(NUM_IMAGES in table for table in tables.values()):
        columns["images"] = [_number(table) for table in tables.values()]
    overview = _table({"domain": labels, **columns})

    classes = [key for key in _union(tables.values()) if key.startswith(CLASS_IOU)]
    per_class = _table(
        {"class": [key.removeprefix(CLASS_IOU) for key in classes]}
        | {
            label: [_percent(table, key) for key in classes]
            for label, table in zip(labels, tables.values(), strict=True)
        }
    )
    notes = "\n".join(f"- `{key}` {text}." for key, text in CONVENTIONS.items())
    return (
        f"# Benchmark\n\n{_provenance(run)}\n\n{overview}\n\nFigures in percent.\n\n{notes}\n\n"
        f"## IoU per class\n\n{per_class}\n"
        + "".join(f"\n## {heading}\n\n{text}\n" for heading, text in run.sections.items())
    )


def benchmark_record(results: Results, run: BenchmarkRun) -> dict[str, Any]:
    """The results unrounded with all they were made with; JSON types only, NaN as None.

    Raises:
        ValueError: as `benchmark_markdown`.
    """
    domains = _ordered_domains(results, run.source)
    figures = {
        domain: {
            task: {k: None if math.isnan(v) else v for k, v in metrics.items()}
            for task, metrics in results[domain].items()
        }
        for domain in domains
    }
    return asdict(run) | {
        "versions": _versions(),
        "conventions": CONVENTIONS,
        "results": figures,
    }


def write_benchmark(results: Results, run: BenchmarkRun, output_dir: str | Path) -> None:
    """Write `benchmark.md` and `benchmark.json`, replacing earlier ones; main process only.

    Raises:
        ValueError: as `benchmark_markdown`; nothing is written then.
    """
    texts = {
        "benchmark.md": benchmark_markdown(results, run),
        "benchmark.json": json.dumps(benchmark_record(results, run), indent=2, allow_nan=False)
        + "\n",
    }
    directory = Path(output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(directory / name, text.encode())


def _ordered_domains(results: Results, source: str | None) -> list[str]:
    if source is not None and source not in results:
        raise ValueError(f"source '{source}' is not among the results {list(results)}")
    if not any(results.values()):
        raise ValueError(
            f"the results of {list(results)} hold no scores; only the main process has them"
        )
    rank = {source: -1, MEAN: 1}
    return sorted(results, key=lambda domain: rank.get(domain, 0))  # stable: targets keep order


def _label(domain: str, source: str | None) -> str:
    if domain == MEAN:
        return "mean of unseen targets"
    return f"{domain} (source)" if domain == source else domain


def _provenance(run: BenchmarkRun) -> str:
    facts = {"protocol": run.protocol, "config": run.config, "seed": run.seed} | _versions()
    return ", ".join(f"{name} `{value}`" for name, value in facts.items() if value is not None)


def _versions() -> dict[str, str]:
    modules = (langdg_d2, detectron2, torch)
    return {module.__name__: str(module.__version__) for module in modules}


def _percent(table: Mapping[str, float], metric: str) -> str:
    value = table.get(metric, math.nan)
    return _MISSING if math.isnan(value) else f"{value:.2f}"


def _number(table: Mapping[str, float]) -> str:
    return f"{table[NUM_IMAGES]:.0f}" if NUM_IMAGES in table else _MISSING


def _table(columns: Mapping[str, list[str]]) -> str:
    return tabulate(
        columns,
        headers="keys",
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", *["right"] * (len(columns) - 1)),
    )


def _union(mappings: Iterable[Mapping[str, object]]) -> list[str]:
    """All keys, each once, in the order of first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
