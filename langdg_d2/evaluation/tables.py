"""Tables of results.

`score_rows` returns a `DataFrame` with a row for each domain and for each mean over domains. Its
index is the domain ("acdc_fog"; "mean of acdc" for a group, `MEAN` for all unseen targets): first
the source, then the targets, then the means. Its first columns are `FACTS`:

    role            SOURCE, TARGET or MEAN
    source          domain that the model was trained on, "" if unknown
    protocol        name of the test protocol
    inference       inference variant
    scored_classes  averaged classes: name of a subset such as "19", or names of classes
    data_set        remark on a data set that differs from the published one, or ""

The other columns are the scores with the evaluator's names (`mIoU`, `mIoU_16_detectron2`,
`IoU-road`, `num_images`, ...), in unrounded percent as float64, NaN for missing ones.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean
from typing import Any, NamedTuple

from pandas import DataFrame, Series

from ..data.sources import joined_names, split_names
from ..structures import CLASS_SUBSETS
from ..utils.errors import LangDGError
from .confusion import CLASS_ACCURACY, CLASS_IOU, MEAN_IOU, NUM_IMAGES, TASK, subset_metric
from .published import published_figures, tower_of

# {domain: {task: {metric: value}}}, as returned by evaluators.
Results = Mapping[str, Mapping[str, Mapping[str, float]]]

SOURCE, TARGET, MEAN = "source", "target", "mean"
FACTS = ["role", "source", "protocol", "inference", "scored_classes", "data_set"]
CONVENTIONS = {
    "mIoU": "nan-mean of TP/(TP+FP+FN); a class absent from the ground truth but predicted counts "
    "as 0. The one to compare with FAMix and RobustNet",
    "mIoU_detectron2": "mean over the classes with ground-truth pixels only, as SemSegEvaluator",
}
HEADLINES = {
    "mIoU": "mIoU (authors)",
    "mIoU_detectron2": "mIoU (detectron2)",
    "pixel_accuracy": "pixel accuracy",
}
MEAN_TITLE = "mean of unseen targets"
MISSING = "\u2013"  # en dash
# Headings.
SCORES, SUBSETS, PUBLISHED = "Scores", "Class subsets", "Beside published figures"
PER_CLASS = "IoU per class"
_GROUP = "mean of "
_MOST_NAMES = 3  # class names per table cell


@dataclass(frozen=True, kw_only=True)
class BenchmarkRun:
    """Description of a benchmark run.

    Attributes:
        protocol: name of the test protocol, e.g. "full".
        inference: inference variant, e.g. "whole image, scales 1 and 0.5".
        source: domain that the model was trained on; a list of several becomes "a + b".
        config_file: path of the config file.
        config: full config, as a mapping (such as a DictConfig) or text.
        weights: checkpoint, as given by the user.
        seed: seed of the training run; None if a scored checkpoint does not have it.
        trained: settings of the training, as recorded by `RunSettings`; empty if unknown.
        styles: `TargetStyles.record` of training; None without restyling or if unknown.
        groups: domains by the name of the group to average.
        sets: differences between data sets and their releases by domain, see `incomplete_sets`.
        images: fingerprints of the scored images by domain, see `images_fingerprint`.
        published: name of published scores to compare with, see `published_figures`.
        sections: additional sections by heading, with "notes", a list of sentences, and "table",
            values by column.
        date: time of scoring, UTC in ISO 8601; set by `Benchmark.run`.
    """

    protocol: str
    inference: str = "whole image"
    source: str | None = None
    config_file: str | None = None
    config: Mapping[str, Any] | str | None = None
    weights: str | None = None
    seed: int | None = None
    trained: Mapping[str, Any] = field(default_factory=dict)
    styles: Mapping[str, Any] | None = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    published: str | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
    date: str | None = None

    def __post_init__(self) -> None:
        if self.source is not None:
            object.__setattr__(self, "source", joined_names(self.source))
        if self.published is not None:
            published_figures(self.published)  # raises an error for unknown names

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "BenchmarkRun":
        """Return the run of a record from `read_benchmark`."""
        return cls(**{one.name: record[one.name] for one in fields(cls) if one.name in record})

    @property
    def sources(self) -> list[str]:
        """The domains that the model was trained on."""
        return split_names(self.source) if self.source else []


class Section(NamedTuple):
    """A table with notes.

    Attributes:
        table: texts by heading.
        notes: sentences in plain text, not Markdown; may contain untrusted names.
    """

    table: DataFrame
    notes: list[str]


def score_rows(results: Results, run: BenchmarkRun) -> DataFrame:
    """Return rows of domains, of groups of unseen targets, and of the mean over unseen targets.

    Scores of tasks other than "sem_seg" are named "<task>/<metric>".
    """
    if not any(results.values()):
        raise LangDGError(f"no scores for {list(results)}; only the main process has them")
    # The source comes first; the targets keep the order of the config.
    domains = sorted(results, key=lambda domain: domain not in run.sources)
    tables = [
        {
            metric if task == TASK else f"{task}/{metric}": value
            for task, table in results[domain].items()
            for metric, value in table.items()
        }
        for domain in domains
    ]
    scores = DataFrame(tables, index=domains).astype(float)
    classes = {
        domain: [m.removeprefix(CLASS_IOU) for m in table if m.startswith(CLASS_IOU)]
        for domain, table in zip(domains, tables, strict=True)
    }
    for mean, members in mean_members(domains, run).items():
        scores.loc[mean] = mean_over(scores.loc[members])
        classes[mean] = list(dict.fromkeys(name for d in members for name in classes[d]))
    # As sets, because a data set may list the classes of a subset in another order.
    subsets = {frozenset(names): subset for subset, names in CLASS_SUBSETS.items()}
    titles = {d: subsets.get(frozenset(names), ", ".join(names)) for d, names in classes.items()}
    return _with_facts(scores, titles, run)


def record_rows(record: Mapping[str, Any]) -> DataFrame:
    """Return the rows in a record from `read_benchmark`."""
    tables = [tasks.get(TASK, {}) for tasks in record["results"].values()]
    scores = DataFrame(tables, index=list(record["results"])).astype(float)
    return _with_facts(scores, record["scored_classes"], BenchmarkRun.of_record(record))


def metrics(rows: DataFrame) -> list[str]:
    """Return the names of the columns with scores."""
    return [column for column in rows if column not in FACTS]


def mean_over(scores: DataFrame) -> Series:
    """Average every score over domains, without the number of images.

    Scores of a class ("IoU-road") are averaged over the domains that have the class. Other scores
    are NaN if a domain lacks them, so that means never hide a missing domain.
    """
    of_class = scores.columns.str.startswith((CLASS_IOU, CLASS_ACCURACY))
    means = scores.mean(skipna=False).where(~of_class, scores.mean())
    return means.drop(NUM_IMAGES, errors="ignore")


def mean_members(domains: Iterable[str], run: BenchmarkRun) -> dict[str, list[str]]:
    """Return the domains of each mean: groups that are all unseen targets, then `MEAN`."""
    targets = [d for d in domains if d not in run.sources and not is_mean(d)]
    groups = {_GROUP + name: list(m) for name, m in run.groups.items() if {*m} <= {*targets}}
    return groups | ({MEAN: targets} if targets else {})


def is_mean(domain: str) -> bool:
    """Return whether a row is a mean over domains."""
    return domain == MEAN or domain.startswith(_GROUP)


def row_titles(rows: DataFrame, remark: str | None = None) -> list[str]:
    """Return titles of rows, such as "gta5 (source)", "fog (3 of 100 images)", "mean of acdc".

    `remark` replaces every remark, and "" omits them.
    """
    titles = []
    for domain, role, data_set in zip(rows.index, rows["role"], rows["data_set"], strict=True):
        shown = remark if data_set and remark is not None else data_set
        notes = ", ".join(filter(None, [SOURCE if role == SOURCE else "", shown]))
        name = MEAN_TITLE if domain == MEAN else domain
        titles.append(f"{name} ({notes})" if notes else name)
    return titles


def headline_figures(rows: DataFrame) -> dict[str, dict[str, float]]:
    """Return finite mean IoUs and pixel accuracies by row, for training curves."""
    figures = rows.reindex(columns=list(HEADLINES)).T
    return {str(domain): figures[domain].dropna().to_dict() for domain in figures}


def subset_headlines(rows: DataFrame) -> dict[str, str]:
    """Return titles of the mean scores over named subsets of the scored classes."""
    return {
        metric: f"{subset} classes ({convention})"
        for subset in CLASS_SUBSETS
        for mean, convention in ((MEAN_IOU, "authors"), (f"{MEAN_IOU}_detectron2", "detectron2"))
        if (metric := subset_metric(mean, subset)) in rows
    }


def score_table(
    rows: DataFrame, titles: Mapping[str, str], deviations: DataFrame | None = None
) -> DataFrame:
    """Format selected scores of every row, with domain and protocol.

    Args:
        rows: rows from `score_rows`.
        titles: titles of the scores to show, by metric.
        deviations: deviations of the same rows and metrics, shown as "43.21 ± 0.50".
    """
    table = rows.reindex(columns=list(titles)).map(percent)
    if deviations is not None:
        spread = deviations.reindex(columns=list(titles)).map(percent)
        table += (" \u00b1 " + spread).where(spread != MISSING, "")
    table = table.rename(columns=titles)
    table.insert(0, "domain", row_titles(rows))
    table.insert(1, "protocol", rows["protocol"])
    return table


def overview_table(rows: DataFrame) -> DataFrame:
    """Format mean IoU in both conventions, pixel accuracy, scored classes and number of images."""
    table = score_table(rows, HEADLINES)
    table.insert(2, "classes", class_counts(rows))
    if NUM_IMAGES in rows:
        table["images"] = [MISSING if math.isnan(n) else f"{n:.0f}" for n in rows[NUM_IMAGES]]
    return table


def class_counts(rows: DataFrame) -> Series:
    """Return the scored classes of every row; many names are replaced by their number."""
    names = rows["scored_classes"]
    numbers = names.str.count(", ") + 1
    return names.where(numbers <= _MOST_NAMES, numbers.astype(str) + " classes")


def class_ious(rows: DataFrame) -> DataFrame:
    """Return the IoU in percent of every class (rows) on every domain and mean (columns)."""
    return rows.filter(regex=f"^{CLASS_IOU}").T.rename(lambda name: name.removeprefix(CLASS_IOU))


def class_table(rows: DataFrame) -> DataFrame:
    """Format `class_ious` with the protocol; every row of `rows` becomes a column."""
    table = class_ious(rows).map(percent)
    table.columns = row_titles(rows, "see its remark above")
    # Duplicates are allowed, because a domain may be called "class".
    table.insert(0, "class", table.index, allow_duplicates=True)
    table.insert(1, "protocol", rows["protocol"].iloc[0], allow_duplicates=True)
    return table


def published_section(rows: DataFrame, run: BenchmarkRun) -> Section:
    """Compare our mean IoU (authors' convention) with published scores and their measurement.

    No difference is given under another protocol, for data sets that differ from the published
    ones, or for means over them. The last row is the mean over shared domains: the published mean
    if these are all of its targets, otherwise the mean of the published scores.
    """
    published = published_figures(str(run.published))
    # If we scored other classes, our mean over the published subset is compared.
    unseen, metric = rows[rows["role"] == TARGET], published.metric
    ours = {d: row.get(metric(row["scored_classes"]), math.nan) for d, row in unseen.iterrows()}
    shared = [domain for domain in ours if domain in published.figures]
    pairs = {domain: ([domain], published.figures[domain]) for domain in shared}
    targets = list(published.targets)
    if published.mean is not None and {*targets} <= ours.keys():
        pairs[f"mean of {len(targets)} targets"] = targets, published.mean
    elif len(shared) > 1:
        theirs = fmean(published.figures[domain] for domain in shared)
        pairs[f"mean of these {len(shared)}"] = shared, theirs
    remarks = {domain: text for domain, text in unseen["data_set"].items() if text}
    lines = []
    for name, (domains, theirs) in pairs.items():
        mean = fmean(ours[domain] for domain in domains)
        same = run.protocol == published.protocol and remarks.keys().isdisjoint(domains)
        lines.append(
            {
                "domain": name,
                "protocol": run.protocol,
                "ours": percent(mean),
                "published": percent(theirs),
                "difference": percent(mean - theirs, "+") if same else "not comparable",
            }
        )
    notes = [
        f"Mean IoU in percent, authors' convention, {published.classes} classes. Published "
        f"('{published.name}'): {published.about}, trained on {published.source}, protocol "
        f"'{published.protocol}', {published.inference}; {published.reference}.",
        *published.differences(
            protocol=run.protocol,
            inference=run.inference,
            source=run.source,
            tower=tower_of(run.config),
        ),
    ]
    for domain in filter(remarks.get, shared):
        notes.append(f"{domain} is not comparable with published figures: {remarks[domain]}.")
    if missing := [domain for domain in targets if domain not in rows.index]:
        notes.append(f"Published but not evaluated here: {', '.join(missing)}.")
    if not lines:
        notes.append("No published target was evaluated.")
    if any(line["ours"] == MISSING for line in lines):
        notes.append(f"{MISSING}: ours has no mean over these {published.classes} classes.")
    return Section(DataFrame(lines, dtype=object), notes)


def benchmark_sections(rows: DataFrame, run: BenchmarkRun) -> dict[str, Section]:
    """Return the sections of a benchmark by heading, from `SCORES` to `PER_CLASS`.

    `SUBSETS` is included if there are means over class subsets, `PUBLISHED` if the run names
    published scores.
    """
    notes = [f"{HEADLINES[metric]}: {text}." for metric, text in CONVENTIONS.items()]
    sections = {SCORES: Section(overview_table(rows), ["Figures in percent.", *notes])}
    if subsets := subset_headlines(rows):
        sections[SUBSETS] = Section(score_table(rows, subsets), ["Mean IoU over class subsets."])
    if run.published:
        sections[PUBLISHED] = published_section(rows, run)
    return sections | {PER_CLASS: Section(class_table(rows), [])}


def given_sections(run: BenchmarkRun) -> dict[str, Section]:
    """Return the recorded sections of a run; those of earlier versions are Markdown in a note."""
    return {
        heading: Section(DataFrame(), [given])
        if isinstance(given, str)
        else Section(DataFrame(given["table"]), given["notes"])
        for heading, given in run.sections.items()
    }


def plain_markdown(text: object) -> str:
    """Format any text as one line of Markdown that shows it literally, also inside a table."""
    # File names may not be UTF-8.
    line = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", line)


def code(text: object) -> str:
    """Format any text as inline code, or as `plain_markdown` if it contains a backtick."""
    plain = plain_markdown(text)
    return plain if "`" in plain else f"`{' '.join(str(text).split())}`"


def markdown_table(table: DataFrame | Mapping[str, Sequence[object]]) -> str:
    """Format values by heading as a pipe table; all columns except the first are right-aligned."""
    texts = DataFrame(table, dtype=object).map(plain_markdown)
    texts.columns = list(map(plain_markdown, texts.columns))
    align = ("left", *["right"] * (len(texts.columns) - 1))
    # Formatted already, so tabulate must not reformat numbers.
    return texts.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)


def section_markdown(section: Section) -> str:
    """Format the table, if it has rows, and the notes as a list below it."""
    table = "" if section.table.empty else markdown_table(section.table)
    notes = "\n".join(f"- {plain_markdown(note)}" for note in section.notes)
    return "\n\n".join(filter(None, [table, notes]))


def percent(value: float, sign: str = "") -> str:
    """Format a value with two decimals, or a dash if it is missing; `sign` may be "+"."""
    return MISSING if math.isnan(value) else f"{value:{sign}.2f}"


def _with_facts(scores: DataFrame, classes: Mapping[str, str], run: BenchmarkRun) -> DataFrame:
    """Prepend facts about the rows to their scores."""
    domains = list(scores.index)
    remarks = dict(run.sets)
    for mean, members in mean_members(domains, run).items():
        # Means over data sets that differ from the published ones are not comparable either.
        if found := ", ".join(domain for domain in members if domain in run.sets):
            remarks[mean] = f"with {found}"
    facts = {
        "role": [MEAN if is_mean(d) else SOURCE if d in run.sources else TARGET for d in domains],
        "source": run.source or "",
        "protocol": run.protocol,
        "inference": run.inference,
        "scored_classes": [classes[domain] for domain in domains],
        "data_set": [remarks.get(domain, "") for domain in domains],
    }
    facts_of_rows = DataFrame(facts, index=scores.index, dtype=object)
    return facts_of_rows.join(scores).rename_axis("domain")
