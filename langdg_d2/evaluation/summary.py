"""Mean and sample standard deviation over runs of a configuration with several seeds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from ..engine import training_differences
from ..utils.provenance import differing
from .benchmark import BenchmarkFileError
from .confusion import CLASS_ACCURACY, NUM_IMAGES
from .tables import (
    CONVENTIONS,
    FACTS,
    HEADLINES,
    MEAN,
    MEAN_TITLE,
    PUBLISHED,
    BenchmarkRun,
    Section,
    class_counts,
    code,
    metrics,
    plain_markdown,
    published_section,
    record_rows,
    score_table,
    section_markdown,
    subset_headlines,
)

# Settings in which runs may differ: seeds and their consequences, and file locations. First the
# last parts of keys, then full keys. The start of training is part of its own settings.
_FREE = frozenset({"seed", "number_of_styles", "output_dir", "init_checkpoint", "num_workers"})
_FREE_KEYS = frozenset(
    {"styles.bank", "styles.augmentation.mixer.styles.bank", "styles.mining.path"}
)
_CLIP_WEIGHTS = "weights"  # not set if a checkpoint has them


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Scores over several runs, in percent.

    Attributes:
        records: records from `read_benchmark`, by name of the run.
        rows: means over the runs, in the format of `score_rows`; NaN if a run has no value.
        deviations: sample standard deviations of the same rows and metrics; NaN for a single run.
    """

    records: Mapping[str, dict[str, Any]]
    rows: pd.DataFrame
    deviations: pd.DataFrame

    @property
    def run(self) -> BenchmarkRun:
        """The first run, which has the same facts as all others."""
        return BenchmarkRun.of_record(next(iter(self.records.values())))


def summarize_runs(records: Mapping[str, dict[str, Any]]) -> RunSummary:
    """Average runs that differ only in seeds and file locations.

    Args:
        records: records from `read_benchmark`, by name of the run.

    Raises:
        BenchmarkFileError: if there is no run, if runs were measured or configured differently, or
            if a run was given twice.
    """
    if not records:
        raise BenchmarkFileError("no run to summarize")
    for (earlier, one), (name, other) in combinations(records.items(), 2):
        if difference := _difference(one, other):
            what, of_earlier, of_other = difference
            raise BenchmarkFileError(
                f"runs differ in their {what}, so their mean would be meaningless: "
                f"'{earlier}' has {of_earlier}, '{name}' has {of_other}"
            )
        if shared := _same_run(one, other):
            raise BenchmarkFileError(
                f"'{earlier}' and '{name}' have the same {shared}: a run that is given twice would "
                "hide the variation"
            )
    rows = {name: record_rows(record) for name, record in records.items()}
    # All runs have the facts of the first.
    facts = next(iter(rows.values()))[FACTS]
    scores = pd.concat([table.drop(columns=FACTS) for table in rows.values()])
    by_domain = scores.groupby(level="domain", sort=False)
    # NaN if a run has no value, because a mean over fewer runs would not be comparable.
    return RunSummary(
        records=records,
        rows=facts.join(by_domain.agg(pd.Series.mean, skipna=False)),
        deviations=by_domain.agg(pd.Series.std, skipna=False),
    )


def summary_markdown(summary: RunSummary) -> str:
    """Format mean ± standard deviation by domain, and published scores if the runs name them."""
    run, rows, count = summary.run, summary.rows, len(summary.records)
    seeds = {name: record["seed"] for name, record in summary.records.items()}
    spread = "mean ± sample standard deviation over the runs" if count > 1 else "a single run"
    table = score_table(rows, HEADLINES | subset_headlines(rows), summary.deviations)
    table.insert(2, "classes", class_counts(rows))
    table.insert(3, "runs", count)
    notes = [f"{HEADLINES[metric]}: {text}." for metric, text in CONVENTIONS.items()]
    parts = [
        f"# Benchmark over {count} {'runs' if count > 1 else 'run'}",
        f"Config {code(run.config_file)}, source {code(run.source)}, protocol "
        f"{code(run.protocol)}, {plain_markdown(run.inference)}, seeds "
        f"{', '.join(map(str, seeds.values()))}.",
        section_markdown(Section(table, [f"Figures in percent, {spread}.", *notes])),
    ]
    for what in ("git", "versions"):
        found = {json.dumps(one.get(what), sort_keys=True) for one in summary.records.values()}
        if len(found) > 1:
            parts.append(f"The runs used different code ({what}): {', '.join(sorted(found))}.")
    if unknown := [name for name, one in summary.records.items() if not one.get("trained")]:
        parts.append(f"The training of these runs is unknown: {', '.join(map(code, unknown))}.")
    if run.published:
        section = published_section(rows, run)
        parts += [f"## {PUBLISHED}", section_markdown(section)]
    runs = "\n".join(f"- {code(name)}, seed {seed}" for name, seed in seeds.items())
    return "\n\n".join([*parts, "## Runs", runs]) + "\n"


def summary_csv(summary: RunSummary) -> str:
    """Format a row per domain, with unrounded means and deviations, except accuracy by class."""
    table = summary.rows[FACTS].assign(runs=len(summary.records))
    for metric in metrics(summary.rows):
        if metric != NUM_IMAGES and not metric.startswith(CLASS_ACCURACY):
            table[metric] = summary.rows[metric]
            table[f"{metric}_std"] = summary.deviations[metric]
    return str(table.rename(index={MEAN: MEAN_TITLE}).to_csv(lineterminator="\n"))


def config_difference(one: Any, other: Any) -> tuple[str, Any, Any] | None:
    """Return the outermost key in which two recorded configurations differ.

    Seeds, file locations and whether CLIP's weights come from a checkpoint are ignored.

    Args:
        one: configuration as in benchmark records, which is plain data, text or None.
        other: another configuration.

    Returns:
        Dotted key ("" for a text) and both values, None for a missing one; or None if the
        configurations agree.
    """
    for key, values in differing(one, other).items():
        name = key.rpartition(".")[2]
        free = name in _FREE or key in _FREE_KEYS or (name == _CLIP_WEIGHTS and None in values)
        if not free:
            return key, *values
    return None


def _measured(record: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that averaged runs must share."""
    run, rows = BenchmarkRun.of_record(record), record_rows(record)
    images = rows[NUM_IMAGES].dropna().to_dict() if NUM_IMAGES in rows else {}
    # For records without a config. Runs may have been started in different folders.
    named = Path(run.config_file).name if run.config_file and run.config is None else None
    return {
        "protocol": run.protocol,
        "inference": run.inference,
        "source": run.source,
        "config file": named,
        "published figures": run.published,
        "domains and scored classes": record["scored_classes"],
        "number of images": images,
        "remarks on data sets and training": run.sets,
    }


def _difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first difference of two runs that prevents averaging, with both values."""
    of_other = _measured(other)
    for what, value in _measured(one).items():
        if value != of_other[what]:
            return what, value, of_other[what]
    # Checkpoints with only weights have no record of their training.
    trained, of_other_training = one.get("trained"), other.get("trained")
    if trained and of_other_training:
        for key, pair in training_differences(trained, of_other_training).items():
            return f"training, in '{key}'", *pair
    compared = ["config"]
    compared += [k for k in ("styles", "label_pixels") if one.get(k) and other.get(k)]
    for what in compared:
        if difference := config_difference(one.get(what), other.get(what)):
            key, *values = difference
            return f"{what}, in '{key}'" if key else what, values[0], values[1]
    return None


def _same_run(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Return evidence that two records are from the same run; None if there is none."""
    if one["results"] == other["results"]:
        return "scores to the last digit"
    if one["seed"] != other["seed"]:
        return None
    if one["seed"] is not None:
        return f"seed {one['seed']}"
    # Evaluations of checkpoints have no seed.
    return f"weights {one['weights']}" if one["weights"] == other["weights"] else None
