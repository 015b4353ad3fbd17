"""Benchmarks of a model on many domains, and their files.

The model is trained on one source; all other domains are unseen targets. Papers compare the mean
over the unseen targets.

`benchmark.md` is meant for people; `benchmark.csv` and `benchmark.json` are unrounded, for
programs. `images.csv` has the scores of single images. `details.json` has by domain: "classes", the
names of all classes; "confusion", pixel counts by true class (rows) and predicted class (columns);
and "pictures" of some images.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
from detectron2.evaluation import DatasetEvaluator
from torch import nn

from ..data.datasets.builtin import FAMILIES
from ..utils.errors import LangDGError
from ..utils.file_io import write_text
from ..utils.provenance import environment, git_state, plain_data, versions
from .confusion import CLASS_ACCURACY, TASK
from .inference import evaluate_domains, inference_name
from .predictions import ENCODINGS, PredictionWriter
from .tables import (
    CONVENTIONS,
    FACTS,
    MEAN,
    MEAN_TITLE,
    BenchmarkRun,
    Results,
    benchmark_sections,
    code,
    given_sections,
    headline_figures,
    is_mean,
    metrics,
    plain_markdown,
    record_rows,
    score_rows,
    section_markdown,
)

RECORD, DETAILS, IMAGES = "benchmark.json", "details.json", "images.csv"
# To be incremented when readers of older records would misunderstand newer ones.
FORMAT = 1
_IMAGE_COLUMNS = ["domain", "image", "mIoU", "pixel_accuracy"]

# Results of evaluators besides the scores, as JSON data by domain and name.
Details = Mapping[str, Mapping[str, Any]]

logger = logging.getLogger(__name__)


class BenchmarkFileError(LangDGError):
    """Benchmark records cannot be read or averaged; the message names the files."""


class Benchmark:
    """The domains that models are scored on, with their loaders and evaluators.

    Args:
        run: description of the run, recorded with the results.
        domains: names of the domains to score.
        loaders: functions that build the test loader, by known domain.
        evaluators: functions that build the evaluators, by known domain; None stands for one that
            is switched off.

    Attributes:
        loaders, evaluators: loaders and evaluators of the scored domains.
    """

    def __init__(
        self,
        *,
        run: BenchmarkRun,
        domains: Sequence[str],
        loaders: Mapping[str, Callable[[], Iterable[Any]]],
        evaluators: Mapping[str, Callable[[], Iterable[DatasetEvaluator | None]]],
    ) -> None:
        _check_names("evaluation.domains", domains, known=loaders)
        for group, members in run.groups.items():
            _check_names(f"evaluation.groups.{group}", members, known=loaders)
            if missing := [d for d in members if d not in domains or d in run.sources]:
                logger.info("No mean of '%s': %s not scored as unseen targets", group, missing)
        if run.sources:  # a misspelt source would count as an unseen target
            _check_names("evaluation.source", run.sources, known=loaders)
        _check_images([*domains, *run.sources])
        self._run = run
        self.evaluators = {
            domain: [one for one in evaluators[domain]() if one is not None] for domain in domains
        }
        for domain, found in self.evaluators.items():
            _check_evaluators(domain, found, run)
        # After the checks, because loaders list their data sets, which takes time.
        self.loaders = {domain: loaders[domain]() for domain in domains}

    def run(
        self, model: nn.Module, output_dir: str | Path, **changes: Any
    ) -> dict[str, dict[str, float]]:
        """Score a model on all domains and write the benchmark files. Collective.

        Nothing is written if no domain has scores, for example with test sets only.

        Args:
            model: model from `build_inference`.
            output_dir: folder of the files, see `write_benchmark`.
            changes: fields of the run that were unknown before.

        Returns:
            `headline_figures` on the main process, and an empty dict on others.
        """
        results = evaluate_domains(model, self.loaders, self.evaluators)
        if not results:
            return {}
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        run = replace(self._run, date=date, inference=inference_name(model), **changes)
        details = {domain: _details(self.evaluators[domain]) for domain in results}
        return headline_figures(write_benchmark(results, run, output_dir, details=details))


def evaluator_if(wanted: bool, evaluator: DatasetEvaluator) -> DatasetEvaluator | None:
    """Return the evaluator, or None if a config switches it off."""
    return evaluator if wanted else None


def write_benchmark(
    results: Results,
    run: BenchmarkRun,
    output_dir: str | Path,
    *,
    details: Details | None = None,
) -> pd.DataFrame:
    """Write the benchmark files, replacing earlier ones. Call it only in the main process.

    Args:
        results: results from `evaluate_domains`.
        run: description of the run.
        output_dir: folder of the files, created if needed.
        details: details from the evaluators. Without any, earlier files of details are removed.

    Returns:
        The rows, see `score_rows`.
    """
    rows = score_rows(results, run)
    record = json.dumps(benchmark_record(rows, run, details), indent=2, allow_nan=False) + "\n"
    texts = {
        "benchmark.md": benchmark_markdown(rows, run),
        "benchmark.csv": benchmark_csv(rows),
        DETAILS: _details_json(details) if details else None,
        IMAGES: _images_csv(details) if details else None,
        RECORD: record,  # written last: if it exists, all files are complete
    }
    directory = Path(output_dir)
    for name, text in texts.items():
        if text is not None:
            write_text(directory / name, text)
    # Removed last, so that an error above leaves the files of an earlier benchmark complete.
    for name, text in texts.items():
        if text is None:
            (directory / name).unlink(missing_ok=True)
    return rows


def benchmark_markdown(rows: pd.DataFrame, run: BenchmarkRun) -> str:
    """Format a line about the run, `benchmark_sections` and the sections of the run."""
    facts = {
        "protocol": run.protocol,
        "inference": run.inference,
        "source": run.source,
        "config": run.config_file,
        "weights": run.weights,
        "seed": run.seed,
    }
    known = {name: value for name, value in facts.items() if value is not None} | versions()
    parts = ["# Benchmark", ", ".join(f"{name} {code(value)}" for name, value in known.items())]
    for heading, section in (benchmark_sections(rows, run) | given_sections(run)).items():
        parts.append(f"## {plain_markdown(heading)}\n\n{section_markdown(section)}")
    return "\n\n".join(parts) + "\n"


def benchmark_csv(rows: pd.DataFrame) -> str:
    """Format a row per domain and mean, with facts and all metrics except accuracy by class.

    Values are in percent and unrounded; missing ones are empty.
    """
    # Accuracies by class would double the width; the JSON file has them.
    scores = [metric for metric in metrics(rows) if not metric.startswith(CLASS_ACCURACY)]
    table = rows[[*FACTS, *scores]].rename(index={MEAN: MEAN_TITLE})
    return str(table.to_csv(lineterminator="\n"))


def benchmark_record(
    rows: pd.DataFrame, run: BenchmarkRun, details: Details | None = None
) -> dict[str, Any]:
    """Return the unrounded results and the facts of the run in JSON types; NaN becomes None.

    "label_pixels" has the number of labelled pixels per class by domain, to identify the labels.
    """
    confusions = {d: found.get("confusion", []) for d, found in (details or {}).items()}
    scores = rows[metrics(rows)].astype(object)
    # JSON has no NaN.
    figures = scores.where(scores.notna(), None).to_dict("index")
    return {
        "format": FORMAT,
        **{one.name: plain_data(getattr(run, one.name)) for one in fields(run)},
        "git": git_state(),
        "versions": versions(),
        "environment": environment(),
        "conventions": CONVENTIONS,
        "scored_classes": rows["scored_classes"].to_dict(),
        "label_pixels": {d: [sum(row) for row in counts] for d, counts in confusions.items()},
        "results": {domain: {TASK: table} for domain, table in figures.items()},
    }


def read_benchmark(run: str | Path) -> dict[str, Any]:
    """Read the record of a run, see `benchmark_record`.

    Args:
        run: output folder of the run, or file of the record.

    Raises:
        BenchmarkFileError: if the file is missing, damaged or not a benchmark record.
    """
    path = Path(run) / RECORD if Path(run).is_dir() else Path(run)
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkFileError(
            f"cannot read '{path}': {error.strerror}; `train_net.py --eval-only` writes it"
        ) from error
    except ValueError as error:
        raise BenchmarkFileError(f"'{path}' is damaged: {error}; evaluate the run again") from error
    try:
        _check_record(record)
    except Exception as error:  # the JSON may have any structure
        raise BenchmarkFileError(
            f"'{path}' is not a complete benchmark record of format {FORMAT} "
            f"({type(error).__name__}: {error}); evaluate the run again"
        ) from error
    return record


def read_details(folder: Path) -> dict[str, dict[str, Any]]:
    """Read `details.json` in a folder; empty if missing or, with a warning, if damaged."""
    path = folder / DETAILS
    if not path.is_file():
        return {}
    try:
        details: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for found in details.values():
            _check_details(found)
    except Exception as error:  # the JSON may have any structure
        logger.warning("'%s' is damaged and left out: %s", path, error)
        return {}
    return details


def read_images(folder: Path) -> pd.DataFrame:
    """Read the scores of single images from `images.csv` in a folder.

    Returns:
        Columns "domain", "image", "mIoU" and "pixel_accuracy", with scores in percent and NaN for
        missing ones. Empty if the file is missing or, with a warning, if it is damaged.
    """
    path, texts = folder / IMAGES, {"domain": object, "image": object}
    scores = dict.fromkeys(_IMAGE_COLUMNS[2:], float)
    # Only empty strings are missing values, because an image may be called "NA".
    missing = {"na_values": dict.fromkeys(scores, ""), "keep_default_na": False}
    try:
        if path.is_file():
            table = pd.read_csv(path, usecols=_IMAGE_COLUMNS, dtype=texts | scores, **missing)
            return table[_IMAGE_COLUMNS]
    except (OSError, ValueError) as error:
        logger.warning("'%s' is damaged and left out: %s", path, error)
    return pd.DataFrame(columns=_IMAGE_COLUMNS)


def _check_names(setting: str, names: Sequence[str], *, known: Iterable[str]) -> None:
    if isinstance(names, str) or not names:
        raise LangDGError(f"{setting} is {names!r}, expected a list with at least one domain")
    if unknown := [name for name in names if name not in known]:
        raise LangDGError(f"{setting} has unknown domains {unknown}; known are {sorted(known)}")
    if len(set(names)) < len(names):
        raise LangDGError(f"{setting} is {list(names)}, expected each domain only once")
    if reserved := [name for name in names if is_mean(name)]:
        raise LangDGError(f"{setting} has {reserved}, reserved for means over domains; rename them")


def _check_images(names: Sequence[str]) -> None:
    """Check that no images count twice, and that those of the source do not count as unseen."""
    found: dict[str, str] = {}
    for name in names:
        family = FAMILIES.get(name)
        images = family.same_images_as if family and family.same_images_as else name
        if (other := found.setdefault(images, name)) != name:
            raise LangDGError(
                f"evaluation.domains and evaluation.source have '{other}' and '{name}', which are "
                "the same images with two label maps and would count as two data sets: remove one, "
                "and score it in a separate run"
            )


def _check_evaluators(
    domain: str, evaluators: Sequence[DatasetEvaluator], run: BenchmarkRun
) -> None:
    """Check that a domain gives scores, or prediction files if no scores are needed."""
    writers = [one for one in evaluators if isinstance(one, PredictionWriter)]
    if len(writers) < len(evaluators):
        return
    if not any(writer.writes for writer in writers):
        raise LangDGError(
            f"evaluation.domains has '{domain}', which has no labels or is not scored: set "
            f"evaluation.predictions to one of {', '.join(ENCODINGS)}, or remove the domain"
        )
    scored = [f"evaluation.groups.{g}" for g, members in run.groups.items() if domain in members]
    scored += ["evaluation.source"] if domain in run.sources else []
    if scored:
        raise LangDGError(
            f"{scored[0]} has '{domain}', which has no labels and thus no scores: remove it"
        )


def _details(evaluators: Iterable[DatasetEvaluator]) -> dict[str, Any]:
    """Merge the details of all evaluators of a domain."""
    known: dict[str, Any] = {}
    for evaluator in evaluators:
        if hasattr(evaluator, "details"):
            known |= evaluator.details()
    return known


def _details_json(details: Details) -> str:
    """Format the details without the scores of single images, which are in `images.csv`."""
    shown = {d: {k: x for k, x in found.items() if k != "images"} for d, found in details.items()}
    return json.dumps(shown) + "\n"


def _images_csv(details: Details) -> str:
    """Format a row per image with its scores in percent; missing ones are empty."""
    lines = [(d, *score) for d, found in details.items() for score in found.get("images", ())]
    # As objects, because file names may not be UTF-8, which string columns require.
    table = pd.DataFrame(lines, columns=_IMAGE_COLUMNS, dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))


def _check_record(record: Mapping[str, Any]) -> None:
    """Raise an error of any type unless a record has everything that its readers use."""
    if record["format"] != FORMAT:
        raise LangDGError(f"it has format {record['format']}")
    if missing := {"config_file", "seed", "weights"} - record.keys():
        raise LangDGError(f"{sorted(missing)} are missing")
    tables = [tasks.get(TASK, {}) for tasks in record["results"].values()]
    values = [value for table in tables for value in table.values()]
    if not all(value is None or isinstance(value, (int, float)) for value in values):
        raise LangDGError("a score is not a number")
    given_sections(BenchmarkRun.of_record(record))
    rows = record_rows(record)
    if rows.empty or not all(isinstance(text, str) for text in rows[FACTS].to_numpy().flat):
        raise LangDGError("it has no scores, or a fact about them is not a string")


def _check_details(found: Mapping[str, Any]) -> None:
    """Raise an error of any type unless the details of a domain can be displayed."""
    rows, number = found.get("confusion", []), len(found.get("classes", []))
    if rows and [len([n for n in row if isinstance(n, int)]) for row in rows] != [number] * number:
        raise LangDGError(f"expected {number} x {number} pixel counts, one per pair of classes")
    for picture in found.get("pictures", []):
        if not all(isinstance(picture[key], str) for key in ("file", "kind", "image")):
            raise LangDGError("a picture lacks a name")
        if not all(math.isfinite(picture[key]) for key in ("mIoU", "pixel_accuracy")):
            raise LangDGError("a picture lacks a score")
