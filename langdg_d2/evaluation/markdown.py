"""The benchmark report for people, in Markdown."""

import math
import re
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from ..utils.provenance import versions
from .published import PublishedFigures, published_figures
from .record import BenchmarkRun, tower_name
from .results import (
    CLASS_IOU,
    CONVENTIONS,
    HEADLINES,
    NUM_IMAGES,
    TASK,
    Results,
    mean_over,
    ordered_domains,
    row_label,
    scored_classes,
    subset_headlines,
    union,
    unseen_targets,
    with_means,
)

MISSING = "\u2013"  # en dash
_NOT_COMPARABLE = "not comparable"
_MOST_NAMES = 3  # of classes in a cell
# Headings.
SCORES, PUBLISHED, PER_CLASS = "Scores", "Beside published figures", "IoU per class"


def benchmark_markdown(results: Results, run: BenchmarkRun) -> str:
    """What was run, then `benchmark_sections` and the sections of `run` under their headings.

    Raises:
        LangDGError: if the results hold no scores.
    """
    (_, scores), *others = benchmark_sections(results, run).items()
    parts = [f"# Benchmark\n\n{_provenance(run)}", scores]
    sections = (*others, *run.sections.items())
    parts += [f"## {plain_markdown(heading)}\n\n{text}" for heading, text in sections]
    return "\n\n".join(parts) + "\n"


def benchmark_sections(results: Results, run: BenchmarkRun) -> dict[str, str]:
    """Scores, and where there are any those of class subsets and published ones; IoU per class.

    The source comes first and is marked, means last; figures have two decimals, missing ones a
    dash. Every row names the protocol.

    Returns:
        Markdown by heading.

    Raises:
        LangDGError: if the results hold no scores.
    """
    domains = ordered_domains(results, run.source)
    tables = {domain: results[domain].get(TASK, {}) for domain in domains}
    remarks = with_means(run.sets, results, source=run.source, groups=run.groups)
    labels = {domain: row_label(domain, run.source, remarks) for domain in domains}
    overview = _rows(labels, run.protocol)
    overview["classes"] = [class_cell(scored_classes(table)) for table in tables.values()]
    overview |= _figures(tables, HEADLINES)
    if any(NUM_IMAGES in table for table in tables.values()):
        overview["images"] = [_number(table) for table in tables.values()]
    notes = "\n".join(f"- `{key}` {text}." for key, text in CONVENTIONS.items())
    sections = {SCORES: f"{markdown_table(overview)}\n\nFigures in percent.\n\n{notes}"}
    if subsets := subset_headlines(union(tables.values())):
        table = markdown_table(_rows(labels, run.protocol) | _figures(tables, subsets))
        sections["Class subsets"] = f"Mean IoU over parts of the classes.\n\n{table}"
    if run.published:
        sections[PUBLISHED] = published_section(
            results,
            published=published_figures(run.published),
            protocol=run.protocol,
            inference=run.inference,
            source=run.source,
            tower=tower_name(run.config),
            sets=run.sets,
        )
    short = dict.fromkeys(remarks, "see its remark above")  # of a column's heading
    headings = {domain: row_label(domain, run.source, short) for domain in domains}
    sections[PER_CLASS] = _per_class(tables, headings, run.protocol)
    return sections


def published_section(
    results: Results,
    *,
    published: PublishedFigures,
    protocol: str,
    inference: str,
    source: str | None,
    tower: str | None,
    sets: Mapping[str, str],
) -> str:
    """Our mean IoU (authors' convention) beside published figures, and what differs between them.

    Of data sets that are not the published ones, and of means over them, no difference is given.
    The last row is the mean over the domains that both have, so that it compares like with like:
    the published one where these are all, else that of the published figures.
    """
    rows = _compared(results, published, unseen_targets(results, source))
    table = markdown_table(
        {
            "domain": list(rows),
            "protocol": [protocol] * len(rows),
            "ours": [percent(ours) for ours, _, _ in rows.values()],
            "published": [percent(theirs) for _, theirs, _ in rows.values()],
            "difference": [
                _NOT_COMPARABLE if sets.keys() & members else signed(ours - theirs)
                for ours, theirs, members in rows.values()
            ],
        }
    )
    facts = (
        f"Mean IoU in percent, authors' convention, {published.classes} classes. Published "
        f"(`{published.name}`): {published.about}, trained on {published.source}, protocol "
        f"`{published.protocol}`, {published.inference}; {published.reference}."
    )
    warnings = published.differences(
        protocol=plain_markdown(protocol),
        inference=plain_markdown(inference),
        source=source and plain_markdown(source),
        tower=tower and plain_markdown(tower),
    )
    warnings += [
        f"{plain_markdown(d)} does not compare with published figures: {sets[d]}."
        for d in rows
        if d in sets
    ]
    if missing := [d for d in published.targets if d not in results]:
        warnings.append(f"Published but not evaluated here: {', '.join(missing)}.")
    if any(math.isnan(ours) for ours, _, _ in rows.values()):
        warnings.append(f"{MISSING}: ours has no mean over these {published.classes} classes.")
    body = table if rows else "None of the published targets was evaluated."
    return "\n\n".join([facts, *warnings, body])


def _compared(
    results: Results, published: PublishedFigures, unseen: Sequence[str]
) -> dict[str, tuple[float, float, frozenset[str]]]:
    """Our figure, the published one and the domains they are of, by domain and for their mean."""

    def ours(domains: Sequence[str]) -> float:
        return _mean_iou(mean_over(results, domains), published)

    shared = [d for d in unseen if d in published.figures]
    rows = {d: (ours([d]), published.figures[d], frozenset({d})) for d in shared}
    targets = published.targets
    if published.mean is not None and set(targets) <= set(unseen):
        rows[f"mean of {len(targets)} targets"] = ours(targets), published.mean, frozenset(targets)
    elif len(shared) > 1:
        theirs = math.fsum(published.figures[d] for d in shared) / len(shared)
        rows[f"mean of these {len(shared)}"] = ours(shared), theirs, frozenset(shared)
    return rows


def class_cell(names: str) -> str:
    """Classes for the cell of a table: their number, where there are many names."""
    number = len(names.split(", "))
    return names if number <= _MOST_NAMES else f"{number} classes"


class Markdown(str):
    """A line of Markdown that is complete and safe as it is."""

    __slots__ = ()


def plain_markdown(text: object) -> Markdown:
    """Any text as one line that shows it, also inside a table; Markdown as it is."""
    if isinstance(text, Markdown):
        return text
    line = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    return Markdown(re.sub(r"([\\`*|<>\[\]])", r"\\\1", line))


def code(text: object) -> str:
    """Any text as code within a line; as `plain_markdown` if it would end the code."""
    plain = plain_markdown(text)
    return plain if "`" in plain else f"`{' '.join(str(text).split())}`"


def markdown_table(columns: Mapping[str, Sequence[object]]) -> str:
    """A pipe table, the first column to the left and the others to the right.

    Args:
        columns: values by heading, of one length, shown as `plain_markdown` does.
    """
    return tabulate(
        {plain_markdown(name): list(map(plain_markdown, cells)) for name, cells in columns.items()},
        headers="keys",
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", *["right"] * (len(columns) - 1)),
    )


def percent(value: float) -> str:
    """Two decimals, or a dash for what is missing."""
    return MISSING if math.isnan(value) else f"{value:.2f}"


def signed(value: float) -> str:
    """As `percent`, with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.2f}"


def _mean_iou(tasks: Mapping[str, Mapping[str, float]], published: PublishedFigures) -> float:
    table = tasks.get(TASK, {})
    return table.get(published.metric(scored_classes(table)), math.nan)


def _rows(labels: Mapping[str, str], protocol: str) -> dict[str, list[str]]:
    return {"domain": list(labels.values()), "protocol": [protocol] * len(labels)}


def _figures(
    tables: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]
) -> dict[str, list[str]]:
    return {
        title: [percent(table.get(key, math.nan)) for table in tables.values()]
        for key, title in titles.items()
    }


def _per_class(
    tables: Mapping[str, Mapping[str, float]], labels: Mapping[str, str], protocol: str
) -> str:
    classes = [key for key in union(tables.values()) if key.startswith(CLASS_IOU)]
    columns = {
        "class": [key.removeprefix(CLASS_IOU) for key in classes],
        "protocol": [protocol] * len(classes),
    }
    for domain, table in tables.items():
        columns[labels[domain]] = [percent(table.get(key, math.nan)) for key in classes]
    return markdown_table(columns)


def _number(table: Mapping[str, float]) -> str:
    return f"{table[NUM_IMAGES]:.0f}" if NUM_IMAGES in table else MISSING


def _provenance(run: BenchmarkRun) -> str:
    facts = {
        "protocol": run.protocol,
        "inference": run.inference,
        "source": run.source,
        "config": run.config_file,
        "weights": run.weights,
        "seed": run.seed,
    }
    known = {name: value for name, value in facts.items() if value is not None} | versions()
    return ", ".join(f"{name} {code(value)}" for name, value in known.items())
