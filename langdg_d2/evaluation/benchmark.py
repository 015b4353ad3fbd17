"""One model scored on many domains, and the files of the scores.

The model is trained on one source; every other domain is an unseen target, and the figure the
papers compare is the mean over the unseen targets.

`benchmark.md` is for people; `benchmark.csv` and `benchmark.json` are unrounded, for programs.
`images.csv` has the scores of single images. `details.json` has by domain: "classes", the names of
all classes; "confusion", pixel counts by true class (rows) and predicted class (columns); and
"pictures" of some images.
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
from .inference import Evaluators, evaluate_domains, inference_name
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
# To be increased when readers of older records would misunderstand newer ones.
FORMAT = 1
_IMAGE_COLUMNS = ["domain", "image", "mIoU", "pixel_accuracy"]

# Results of evaluators beside the scores: JSON data by domain and name.
Details = Mapping[str, Mapping[str, Any]]

logger = logging.getLogger(__name__)


class BenchmarkFileError(LangDGError):
    """Records of runs cannot be read or averaged; the message names the files."""


class Benchmark:
    """The domains that models are scored on, with their loaders and evaluators.

    Args:
        run: what to record with a model's results.
        domains: names of the domains to score.
        loaders: for every known domain, a function that makes its test loader.
        evaluators: for the same names, functions that make evaluators; None stands for one that is
            switched off.

    Attributes:
        loaders, evaluators: of the domains to score.
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
        if run.sources:  # a misspelt one would count as an unseen target
            _check_names("evaluation.source", run.sources, known=loaders)
        _check_images([*domains, *run.sources])
        self._run = run
        self.evaluators = {
            domain: [one for one in evaluators[domain]() if one is not None] for domain in domains
        }
        for domain, found in self.evaluators.items():
            _check_evaluators(domain, found, run)
        # After the checks: loaders list their data sets, which takes time.
        self.loaders = {domain: loaders[domain]() for domain in domains}

    def run(
        self, model: nn.Module, output_dir: str | Path, **changes: Any
    ) -> dict[str, dict[str, float]]:
        """Score a model and write the benchmark files, see `run_benchmark`.

        Args:
            model: of `build_inference`.
            output_dir: folder of the files.
            changes: fields of the run that were not known before.
        """
        run = replace(self._run, inference=inference_name(model), **changes)
        return run_benchmark(model, self.loaders, self.evaluators, run, output_dir)


def evaluator_if(wanted: bool, evaluator: DatasetEvaluator) -> DatasetEvaluator | None:
    """The evaluator, or None where a config switches it off."""
    return evaluator if wanted else None


def run_benchmark(
    model: Callable[[Any], Any],
    loaders: Mapping[str, Iterable[Any]],
    evaluators: Evaluators,
    run: BenchmarkRun,
    output_dir: str | Path,
) -> dict[str, dict[str, float]]:
    """Score a model on all domains and write the benchmark files; every process must call this.

    Nothing is written where no domain has scores, as with test sets alone. Arguments are those of
    `evaluate_domains` and `write_benchmark`.

    Returns:
        `headline_figures` on the main process; on the others an empty dict.
    """
    results = evaluate_domains(model, loaders, evaluators)
    if not results:
        return {}
    dated = replace(run, date=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    details = {domain: _details(evaluators[domain]) for domain in results}
    return headline_figures(write_benchmark(results, dated, output_dir, details=details))


def write_benchmark(
    results: Results,
    run: BenchmarkRun,
    output_dir: str | Path,
    *,
    details: Details | None = None,
) -> pd.DataFrame:
    """Write the files, replacing earlier ones; main process only.

    Args:
        results: of `evaluate_domains`.
        run: how they were made.
        output_dir: folder of the files, created if needed.
        details: of the evaluators. If there are none, files of earlier ones are removed.

    Returns:
        The rows, see `score_rows`.
    """
    rows = score_rows(results, run)
    record = json.dumps(benchmark_record(rows, run), indent=2, allow_nan=False) + "\n"
    texts = {
        "benchmark.md": benchmark_markdown(rows, run),
        "benchmark.csv": benchmark_csv(rows),
        DETAILS: _details_json(details) if details else None,
        IMAGES: _images_csv(details) if details else None,
        RECORD: record,  # the last: where it is, all files are complete
    }
    directory = Path(output_dir)
    for name, text in texts.items():
        if text is not None:
            write_text(directory / name, text)
    # Removed last: an error above leaves the files of an earlier benchmark complete.
    for name, text in texts.items():
        if text is None:
            (directory / name).unlink(missing_ok=True)
    return rows


def benchmark_markdown(rows: pd.DataFrame, run: BenchmarkRun) -> str:
    """A line about the run, then `benchmark_sections` and the sections of `run`."""
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
    """A line per domain and mean: facts, then all metrics but accuracy by class.

    Figures are percent, unrounded; missing ones are empty.
    """
    # Accuracies by class would double the width; the JSON file has them.
    scores = [metric for metric in metrics(rows) if not metric.startswith(CLASS_ACCURACY)]
    table = rows[[*FACTS, *scores]].rename(index={MEAN: MEAN_TITLE})
    return str(table.to_csv(lineterminator="\n"))


def benchmark_record(rows: pd.DataFrame, run: BenchmarkRun) -> dict[str, Any]:
    """The unrounded results and how they were made, as JSON types; NaN becomes None."""
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
        "results": {domain: {TASK: table} for domain, table in figures.items()},
    }


def read_benchmark(run: str | Path) -> dict[str, Any]:
    """The record of a run, see `benchmark_record`.

    Args:
        run: its output folder, or the record's file.

    Raises:
        BenchmarkFileError: if the file is missing, damaged or not such a record.
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
    except Exception as error:  # JSON of any structure may be there
        raise BenchmarkFileError(
            f"'{path}' is not a complete benchmark record of format {FORMAT} "
            f"({type(error).__name__}: {error}); evaluate the run again"
        ) from error
    return record


def read_details(folder: Path) -> dict[str, dict[str, Any]]:
    """The content of a folder's `details.json`; empty, with a warning, if it is damaged."""
    path = folder / DETAILS
    if not path.is_file():
        return {}
    try:
        details: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for found in details.values():
            _check_details(found)
    except Exception as error:  # JSON of any structure may be there
        logger.warning("'%s' is damaged and left out: %s", path, error)
        return {}
    return details


def read_images(folder: Path) -> pd.DataFrame:
    """Scores of the single images in a folder's `images.csv`.

    Returns:
        Columns "domain", "image", and in percent "mIoU" and "pixel_accuracy", NaN where there is
        none. No rows where there is no file, or, with a warning, where it is damaged.
    """
    path, texts = folder / IMAGES, {"domain": object, "image": object}
    scores = dict.fromkeys(_IMAGE_COLUMNS[2:], float)
    # Only empty texts are missing: an image may be called "NA".
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
        raise LangDGError(f"{setting} names a domain twice: {list(names)}")
    if reserved := [name for name in names if is_mean(name)]:
        raise LangDGError(f"{setting} has {reserved}, names of means over domains; rename them")


def _check_images(names: Sequence[str]) -> None:
    """Check that no images count twice, and the source's not as unseen ones."""
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
    """Check that a domain gives scores, or prediction files where no scores are needed."""
    writers = [one for one in evaluators if isinstance(one, PredictionWriter)]
    if len(writers) < len(evaluators):
        return
    if not any(writer.writes for writer in writers):
        raise LangDGError(
            f"evaluation.domains has '{domain}', which has no labels, or is not to be scored: set "
            f"evaluation.predictions to one of {', '.join(ENCODINGS)}, or leave it out"
        )
    scored = [f"evaluation.groups.{g}" for g, members in run.groups.items() if domain in members]
    scored += ["evaluation.source"] if domain in run.sources else []
    if scored:
        raise LangDGError(
            f"{scored[0]} has '{domain}', which has no labels and no scores: leave it out"
        )


def _details(evaluators: DatasetEvaluator | Iterable[DatasetEvaluator]) -> dict[str, Any]:
    """The details of all evaluators of a domain that have some."""
    known: dict[str, Any] = {}
    for evaluator in [evaluators] if isinstance(evaluators, DatasetEvaluator) else evaluators:
        if hasattr(evaluator, "details"):
            known |= evaluator.details()
    return known


def _details_json(details: Details) -> str:
    """The details without the scores of single images, which `images.csv` has."""
    shown = {d: {k: x for k, x in found.items() if k != "images"} for d, found in details.items()}
    return json.dumps(shown) + "\n"


def _images_csv(details: Details) -> str:
    """A line per image with its scores in percent, missing ones empty."""
    lines = [(d, *score) for d, found in details.items() for score in found.get("images", ())]
    # As objects: file names need not be UTF-8, but columns of text have to.
    table = pd.DataFrame(lines, columns=_IMAGE_COLUMNS, dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))


def _check_record(record: Mapping[str, Any]) -> None:
    """Raise an error of any kind unless a record has what its readers use."""
    if record["format"] != FORMAT:
        raise LangDGError(f"it is of format {record['format']}")
    if missing := {"config_file", "seed", "weights"} - record.keys():
        raise LangDGError(f"{sorted(missing)} are missing")
    tables = [tasks.get(TASK, {}) for tasks in record["results"].values()]
    values = [value for table in tables for value in table.values()]
    if not all(value is None or isinstance(value, (int, float)) for value in values):
        raise LangDGError("a score is not a number")
    given_sections(BenchmarkRun.of_record(record))
    rows = record_rows(record)
    if rows.empty or not all(isinstance(text, str) for text in rows[FACTS].to_numpy().flat):
        raise LangDGError("it has no scores, or a fact about them is not text")


def _check_details(found: Mapping[str, Any]) -> None:
    """Raise an error of any kind unless the details of a domain can be shown."""
    rows, number = found.get("confusion", []), len(found.get("classes", []))
    if rows and [len([n for n in row if isinstance(n, int)]) for row in rows] != [number] * number:
        raise LangDGError(f"expected {number} x {number} numbers of pixels, as there are classes")
    for picture in found.get("pictures", []):
        if not all(isinstance(picture[key], str) for key in ("file", "kind", "image")):
            raise LangDGError("a picture lacks a name")
        if not all(math.isfinite(picture[key]) for key in ("mIoU", "pixel_accuracy")):
            raise LangDGError("a picture lacks a score")
