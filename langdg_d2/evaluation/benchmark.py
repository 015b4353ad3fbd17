"""Benchmark files: `benchmark.md` for people, `.json` and `.csv` unrounded for programs.

Beside them `images.csv`, the scores of the single images, and `details.json`, see `details`.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import nn

from ..data.datasets.builtin import FAMILIES
from ..utils.errors import LangDGError
from ..utils.file_io import write_text
from .details import DETAILS, IMAGES, Details, collect_details, details_json
from .inference import inference_name
from .markdown import benchmark_markdown
from .multi_domain import evaluate_domains
from .predictions import ENCODINGS, PredictionWriter
from .record import BenchmarkRun, benchmark_record
from .results import (
    CLASS_ACCURACY,
    TASK,
    Results,
    headline_figures,
    ordered_domains,
    row_label,
    scored_classes,
    source_domains,
    source_name,
    union,
    with_means,
)

RECORD = "benchmark.json"


class Benchmark:
    """The domains that models are scored on, and what their results are compared with.

    Args:
        run: what a model's results will be recorded with.
        domains: names of those to score.
        loaders: function that makes a test loader, by name of every domain there is.
        evaluators: function that makes the evaluators, by the same names; None stands for one that
            is not wanted.

    Attributes:
        loaders: of the domains to score.
        evaluators: of the domains to score.

    Raises:
        LangDGError: if domains, source or groups are unknown, named twice, or of the same images;
            if a domain would give neither scores nor files, or one without scores needs them.
    """

    def __init__(
        self,
        *,
        run: BenchmarkRun,
        domains: Sequence[str],
        loaders: Mapping[str, Callable[[], Iterable[Any]]],
        evaluators: Mapping[str, Callable[[], Iterable[DatasetEvaluator | None]]],
    ) -> None:
        source = source_domains(run.source)
        _check_names("evaluation.domains", domains, known=loaders)
        for group, members in run.groups.items():
            _check_names(f"evaluation.groups.{group}", members, known=loaders)
        if source:  # a misspelt one would count as an unseen target
            _check_names("evaluation.source", source, known=loaders)
        _check_images([*domains, *source])
        self._run = run
        self.evaluators = {
            domain: [one for one in evaluators[domain]() if one is not None] for domain in domains
        }
        for domain, found in self.evaluators.items():
            _check_evaluators(domain, found, run)
        self.loaders = {domain: loaders[domain]() for domain in domains}

    def run(
        self, model: nn.Module, output_dir: str | Path, **changes: Any
    ) -> dict[str, dict[str, float]]:
        """Score a model and write the benchmark files, see `run_benchmark`.

        Args:
            model: of `build_inference`.
            output_dir: where the files go.
            changes: fields of the record that are known now.
        """
        run = replace(self._run, inference=inference_name(model), **changes)
        return run_benchmark(model, self.loaders, self.evaluators, run, output_dir)


def evaluator_if(wanted: bool, evaluator: DatasetEvaluator) -> DatasetEvaluator | None:
    """The evaluator, or None where a config switches it off."""
    return evaluator if wanted else None


def _check_names(setting: str, names: Sequence[str], *, known: Iterable[str]) -> None:
    if isinstance(names, str) or not names:
        raise LangDGError(f"{setting} is {names!r}, expected a list with at least one domain")
    if unknown := [name for name in names if name not in known]:
        raise LangDGError(f"{setting} has unknown domains {unknown}; known are {sorted(known)}")
    if len(set(names)) < len(names):
        raise LangDGError(f"{setting} names a domain twice: {list(names)}")


def _check_images(names: Sequence[str]) -> None:
    """See that no images count twice, nor as unseen where they are the source's."""
    found: dict[str, str] = {}
    for name in names:
        family = FAMILIES.get(name)
        images = family.same_images_as if family and family.same_images_as else name
        if (other := found.setdefault(images, name)) != name:
            raise LangDGError(
                f"evaluation.domains and evaluation.source have '{other}' and '{name}', which are "
                "the same images under two label maps and would count as two data sets: leave one "
                "out, and score it in a run of its own"
            )


def _check_evaluators(
    domain: str, evaluators: Sequence[DatasetEvaluator], run: BenchmarkRun
) -> None:
    """See that a domain gives scores, or where it has no labels and needs no scores, files."""
    writers = [one for one in evaluators if isinstance(one, PredictionWriter)]
    if len(writers) < len(evaluators):
        return
    if not any(writer.writes for writer in writers):
        raise LangDGError(
            f"evaluation.domains has '{domain}', which has no labels, or is not to be scored: set "
            f"evaluation.predictions to one of {', '.join(ENCODINGS)}, or leave it out"
        )
    scored = [f"evaluation.groups.{g}" for g, members in run.groups.items() if domain in members]
    scored += ["evaluation.source"] if domain in source_domains(run.source) else []
    if scored:
        raise LangDGError(
            f"{scored[0]} has '{domain}', which has no labels and no scores: leave it out"
        )


def run_benchmark(
    model: Callable[[Any], Any],
    loaders: Mapping[str, Iterable[Any]],
    evaluators: Mapping[str, DatasetEvaluator | list[DatasetEvaluator]],
    run: BenchmarkRun,
    output_dir: str | Path,
) -> dict[str, dict[str, float]]:
    """Score a model on all domains and write the benchmark files; every process must call this.

    Where no domain has scores, as with test sets alone, nothing is written.

    Args: those of `evaluate_domains`, which takes source and groups from `run`, and of
    `write_benchmark`.

    Returns:
        `headline_figures`.
    """
    source = source_name([name for name in source_domains(run.source) if name in loaders]) or None
    results = evaluate_domains(model, loaders, evaluators, source=source, groups=run.groups)
    if comm.is_main_process() and results:
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        dated = replace(run, date=date)
        details = {
            domain: found
            for domain, found in collect_details(evaluators).items()
            if domain in results
        }
        write_benchmark(results, dated, output_dir, details=details)
    return headline_figures(results)


def benchmark_csv(results: Results, run: BenchmarkRun) -> str:
    """A line per domain and mean: what was measured how, then every metric but accuracy by class.

    Figures are percent with all their digits, missing ones empty.

    Raises:
        LangDGError: if the results hold no scores.
    """
    domains = ordered_domains(results, run.source)
    tables = {domain: results[domain].get(TASK, {}) for domain in domains}
    metrics = [key for key in union(tables.values()) if not key.startswith(CLASS_ACCURACY)]
    remarks = with_means(run.sets, results, source=run.source, groups=run.groups)
    header = ["domain", "source", "protocol", "inference", "scored_classes", "data_set", *metrics]
    return csv_text(
        header,
        [
            [
                row_label(domain),
                run.source or "",
                run.protocol,
                run.inference,
                scored_classes(table),
                remarks.get(domain, ""),
                *(csv_number(table.get(metric)) for metric in metrics),
            ]
            for domain, table in tables.items()
        ],
    )


def images_csv(details: Details) -> str:
    """A line per image with its scores in percent, missing ones empty."""
    lines = [
        [domain, image, csv_number(mean_iou), csv_number(accuracy)]
        for domain, found in details.items()
        for image, mean_iou, accuracy in found.get("images", ())
    ]
    return csv_text(["domain", "image", "mIoU", "pixel_accuracy"], lines)


def csv_text(header: list[str], lines: list[list[str]]) -> str:
    """Comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def csv_number(value: float | None) -> str:
    """All digits of a number; nothing for NaN and None."""
    return "" if value is None or math.isnan(value) else repr(value)


def write_benchmark(
    results: Results,
    run: BenchmarkRun,
    output_dir: str | Path,
    *,
    details: Details | None = None,
) -> None:
    """Write the files, replacing earlier ones; main process only.

    Args:
        results: of `evaluate_domains`.
        run: what they were made with.
        output_dir: where to; made if need be.
        details: of `collect_details`. Without any, files of earlier ones are removed.

    Raises:
        LangDGError: if the results hold no scores; nothing is written then.
    """
    record = json.dumps(benchmark_record(results, run), indent=2, allow_nan=False) + "\n"
    texts = {
        "benchmark.md": benchmark_markdown(results, run),
        "benchmark.csv": benchmark_csv(results, run),
        DETAILS: details_json(details) if details else None,
        IMAGES: images_csv(details) if details else None,
        RECORD: record,  # the last: who finds it finds the others
    }
    directory = Path(output_dir)
    for name, text in texts.items():
        if text is not None:
            write_text(directory / name, text)
    for name, text in texts.items():
        if text is None:
            (directory / name).unlink(missing_ok=True)
