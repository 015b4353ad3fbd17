"""Several runs of one configuration as one: mean and sample standard deviation over seeds."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..utils.errors import LangDGError
from .benchmark import RECORD, csv_number, csv_text
from .config_difference import config_difference
from .markdown import (
    MISSING,
    PUBLISHED,
    class_cell,
    code,
    markdown_table,
    percent,
    plain_markdown,
    published_section,
)
from .published import published_figures
from .record import FORMAT, tower_name
from .results import (
    CLASS_ACCURACY,
    CONVENTIONS,
    HEADLINES,
    NUM_IMAGES,
    TASK,
    row_label,
    subset_headlines,
    union,
    with_means,
)

_Tables = dict[str, dict[str, float]]

# What runs must share to be averaged.
_SHARED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "protocol": lambda record: record["protocol"],
    "inference": lambda record: record["inference"],
    "source": lambda record: record["source"],
    # Of records without the config itself. Runs may have been started from different folders.
    "config file": lambda record: _config_name(record) if record["config"] is None else None,
    "published figures": lambda record: record["published"],
    "domains and scored classes": lambda record: record["scored_classes"],
    "number of images": lambda record: _column(record, NUM_IMAGES),
    "remarks on data sets and training": lambda record: record.get(
        "sets", {}
    ),  # older records do not say
}


class BenchmarkFileError(LangDGError):
    """Records of runs that cannot be read, or not be averaged; the message names the files."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Scores over several runs, in percent, as `{domain: {metric: value}}`.

    Attributes:
        records: what `read_benchmark` gave, by the name of the run.
        means: mean over the runs; NaN where one of them has no value.
        deviations: sample standard deviation over the runs; NaN for a single run as well.
    """

    records: Mapping[str, dict[str, Any]]
    means: _Tables
    deviations: _Tables

    @property
    def facts(self) -> dict[str, Any]:
        """The record of the first run, for what all runs share."""
        return next(iter(self.records.values()))


def read_benchmark(run: str | Path) -> dict[str, Any]:
    """The record that a run left.

    Args:
        run: its output folder, or the record's file.

    Raises:
        BenchmarkFileError: if the file is missing, damaged or no such record.
    """
    path = Path(run) / RECORD if Path(run).is_dir() else Path(run)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkFileError(
            f"cannot read '{path}': {error.strerror}; `train_net.py --eval-only` writes it"
        ) from error
    except ValueError as error:
        raise BenchmarkFileError(f"'{path}' is damaged: {error}; evaluate the run again") from error
    try:
        complete = _is_complete(record)
    except (KeyError, TypeError, AttributeError, ValueError, LangDGError) as error:
        raise BenchmarkFileError(
            f"'{path}' is no benchmark record ({type(error).__name__}: {error}); "
            "evaluate the run again"
        ) from error
    if not complete:
        raise BenchmarkFileError(
            f"'{path}' is incomplete, or not of format {FORMAT}; evaluate the run again"
        )
    return record


def summarize_runs(records: Mapping[str, dict[str, Any]]) -> RunSummary:
    """Average runs that were measured alike.

    Args:
        records: what `read_benchmark` gave, by the name of the run.

    Raises:
        BenchmarkFileError: if there is no run, runs were not measured alike or configured alike
            but for seeds and places of files, or two of them are the same run.
    """
    if not records:
        raise BenchmarkFileError("no run to summarize")
    (first, one), *others = records.items()
    for name, other in others:
        if (difference := _difference(one, other)) is not None:
            what, of_first, of_other = difference
            raise BenchmarkFileError(
                f"runs differ in their {what}, so their mean would mean nothing: "
                f"'{first}' has {of_first}, '{name}' has {of_other}"
            )
    for (earlier, one), (name, other) in combinations(records.items(), 2):
        if (shared := _same_run(one, other)) is not None:
            raise BenchmarkFileError(
                f"'{earlier}' and '{name}' have the same {shared}: one run given twice would hide "
                "how much runs vary"
            )
    return RunSummary(
        records=records,
        means=_over_runs(records, fmean),
        deviations=_over_runs(records, lambda v: stdev(v) if len(v) > 1 else math.nan),
    )


def summary_markdown(summary: RunSummary) -> str:
    """Mean ± standard deviation by domain, beside published figures where the runs name them."""
    facts, count = summary.facts, len(summary.records)
    results = {domain: {TASK: table} for domain, table in summary.means.items()}
    sets = facts.get("sets", {})
    remarks = _remarks(facts)
    seeds = ", ".join(str(record["seed"]) for record in summary.records.values())
    spread = "mean ± sample standard deviation over the runs" if count > 1 else "a single run"
    columns = {
        "domain": [row_label(domain, facts["source"], remarks) for domain in summary.means],
        "protocol": [facts["protocol"]] * len(summary.means),
        "classes": [class_cell(facts["scored_classes"][domain]) for domain in summary.means],
        "runs": [str(count)] * len(summary.means),
    }
    titles = HEADLINES | subset_headlines(union(summary.means.values()))
    for metric, title in titles.items():
        columns[title] = [_spread(summary, domain, metric) for domain in summary.means]
    runs = "\n".join(f"- {code(name)}, seed {r['seed']}" for name, r in summary.records.items())
    notes = "\n".join(f"- `{key}` {text}." for key, text in CONVENTIONS.items())
    parts = [
        f"# Benchmark over {count} {'runs' if count > 1 else 'run'}",
        f"Config {code(facts['config_file'])}, source {code(facts['source'])}, protocol "
        f"{code(facts['protocol'])}, {plain_markdown(facts['inference'])}, seeds {seeds}.",
        markdown_table(columns),
        f"Figures in percent, {spread}.\n\n{notes}",
    ]
    if facts["published"]:
        section = published_section(
            results,
            published=published_figures(facts["published"]),
            protocol=facts["protocol"],
            inference=facts["inference"],
            source=facts["source"],
            tower=tower_name(facts["config"]),
            sets=sets,
        )
        parts.append(f"## {PUBLISHED}\n\n{section}")
    return "\n\n".join([*parts, f"## Runs\n\n{runs}"]) + "\n"


def summary_csv(summary: RunSummary) -> str:
    """A line per domain, mean and deviation of every metric but accuracy by class, unrounded."""
    facts = summary.facts
    metrics = [
        metric
        for metric in union(summary.means.values())
        if metric != NUM_IMAGES and not metric.startswith(CLASS_ACCURACY)
    ]
    header = ["domain", "source", "protocol", "inference", "scored_classes", "data_set", "runs"]
    header += [f"{metric}{suffix}" for metric in metrics for suffix in ("", "_std")]
    lines = []
    for domain, table in summary.means.items():
        line = [row_label(domain), facts["source"] or "", facts["protocol"], facts["inference"]]
        line += [facts["scored_classes"][domain], _remarks(facts).get(domain, "")]
        line.append(str(len(summary.records)))
        for metric in metrics:
            line.append(csv_number(table.get(metric)))
            line.append(csv_number(summary.deviations[domain].get(metric)))
        lines.append(line)
    return csv_text(header, lines)


def _remarks(facts: dict[str, Any]) -> dict[str, str]:
    """Remarks on domains and means; older records have none."""
    return with_means(
        facts.get("sets", {}),
        facts["results"],
        source=facts["source"],
        groups=facts.get("groups", {}),
    )


def _config_name(record: dict[str, Any]) -> str | None:
    return record["config_file"] and Path(record["config_file"]).name


def _shared(record: dict[str, Any]) -> dict[str, Any]:
    return {what: get(record) for what, get in _SHARED.items()}


def _difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """What two runs must share and do not, with both values."""
    of_other = _shared(other)
    for what, value in _shared(one).items():
        if value != of_other[what]:
            return what, value, of_other[what]
    pairs = {what: (one.get(what), other.get(what)) for what in ("config", "styles")}
    if None in pairs["styles"]:  # of a checkpoint that was evaluated, which does not tell
        del pairs["styles"]
    for what, pair in pairs.items():
        if difference := config_difference(*pair):
            key, *values = difference
            return f"{what}, in '{key}'" if key else what, values[0], values[1]
    return None


def _same_run(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """What gives two records away as those of one run."""
    if one["results"] == other["results"]:
        return "scores to the last digit"
    if one["seed"] != other["seed"]:
        return None
    if one["seed"] is not None:
        return f"seed {one['seed']}"
    # Evaluations of checkpoints know no seed.
    return f"weights {one['weights']}" if one["weights"] == other["weights"] else None


def _is_complete(record: dict[str, Any]) -> bool:
    results, classes = record["results"], record["scored_classes"]
    has_all = bool(results) and results.keys() == classes.keys() and bool(_shared(record))
    has_all = has_all and {"config_file", "seed", "weights"} <= record.keys()
    texts = [record["protocol"], record["inference"], *classes.values()]
    figures = [value for domain in results for value in _table(record, domain).values()]
    if record["published"] is not None:
        published_figures(record["published"])
    return (
        has_all
        and record["format"] == FORMAT
        and all(isinstance(text, str) for text in texts)
        and all(value is None or isinstance(value, (int, float)) for value in figures)
    )


def _table(record: dict[str, Any], domain: str) -> dict[str, float | None]:
    return record["results"][domain].get(TASK, {})


def _column(record: dict[str, Any], metric: str) -> dict[str, float | None]:
    return {domain: _table(record, domain).get(metric) for domain in record["results"]}


def _over_runs(
    records: Mapping[str, dict[str, Any]], combine: Callable[[Sequence[float]], float]
) -> _Tables:
    combined: _Tables = {}
    every = list(records.values())
    for domain in every[0]["results"]:
        combined[domain] = {}
        for metric in _table(every[0], domain):
            values = [_table(record, domain).get(metric) for record in every]
            known = [value for value in values if value is not None]
            combined[domain][metric] = combine(known) if len(known) == len(every) else math.nan
    return combined


def _spread(summary: RunSummary, domain: str, metric: str) -> str:
    mean = percent(summary.means[domain].get(metric, math.nan))
    deviation = percent(summary.deviations[domain].get(metric, math.nan))
    return mean if deviation == MISSING else f"{mean} ± {deviation}"
