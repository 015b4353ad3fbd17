"""The report as Markdown, with links to the pictures."""

import os
import re
from pathlib import Path

from ...evaluation.markdown import benchmark_sections, markdown_table, percent
from ...evaluation.results import row_label
from .conditions import conditions, config_text, lead, title
from .matrices import largest_confusions
from .results_folder import ResultsFolder

_CONFUSIONS = 3  # of each domain
_EVALUATIONS = 20  # the last ones are listed


def report_markdown(results: ResultsFolder, place: Path) -> str:
    """All of the report that is text or a table.

    Args:
        results: what to report.
        place: folder of the report, for links to pictures.
    """
    sections = [
        *benchmark_sections(results.results, results.run).items(),
        ("Confusions", _confusions(results)),
        ("Images", _images(results, place)),
        ("Mean IoU during training", _training(results)),
        *results.run.sections.items(),
        ("Conditions", _conditions(results)),
    ]
    parts = [f"# {cell(title(results))}", cell(lead(results))]
    parts += [f"## {heading}\n\n{text}" for heading, text in sections if text]
    return "\n\n".join(parts) + "\n"


def cell(text: object) -> str:
    """Any text as one line of plain Markdown, also inside a table."""
    line = " ".join(str(text).encode("utf-8", "replace").decode().split())
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", line)


def _confusions(results: ResultsFolder) -> str:
    rows = [
        (row_label(domain, results.run.source), *confusion)
        for domain in results.domains
        if (found := results.confusion(domain)) is not None
        for confusion in largest_confusions(*found, _CONFUSIONS)
    ]
    if not rows:
        return ""
    domains, truths, predictions, shares, pixels = zip(*rows, strict=True)
    return markdown_table(
        {
            "domain": list(map(cell, domains)),
            "true class": list(map(cell, truths)),
            "predicted as": list(map(cell, predictions)),
            "share": [f"{share:.1%}" for share in shares],
            "pixels": [f"{number:,}" for number in pixels],
        }
    )


def _images(results: ResultsFolder, place: Path) -> str:
    found = [(domain, one) for domain in results.domains for one in results.pictures(domain)]
    if not found:
        return ""
    targets = (os.path.relpath(one.file, place).replace(os.sep, "/") for _, one in found)
    return markdown_table(
        {
            "domain": [cell(row_label(domain, results.run.source)) for domain, _ in found],
            "image": [cell(one.score.image) for _, one in found],
            "mIoU": [percent(one.score.mean_iou) for _, one in found],
            "pixel accuracy": [percent(one.score.pixel_accuracy) for _, one in found],
            "picture": [
                f"[{cell(one.kind)}](<{target}>)"
                for (_, one), target in zip(found, targets, strict=True)
            ],
        }
    )


def _training(results: ResultsFolder) -> str:
    curves = results.mean_ious
    iterations = sorted({k for series in curves.values() for k in series})[-_EVALUATIONS:]
    if len(iterations) < 2:
        return ""
    columns = {"iteration": list(map(str, iterations))}
    for domain, series in curves.items():
        values = [series.get(k, float("nan")) for k in iterations]
        columns[cell(row_label(domain, results.run.source))] = list(map(percent, values))
    return markdown_table(columns)


def _conditions(results: ResultsFolder) -> str:
    found = conditions(results)
    table = markdown_table(
        {"condition": list(map(cell, found)), "value": list(map(cell, found.values()))}
    )
    config = config_text(results.record.get("config"))
    if config is None:
        return table
    longest = max(map(len, re.findall("`+", config)), default=0)
    fence = "`" * max(3, longest + 1)
    summary = "<summary>The whole configuration</summary>"
    block = f"{fence}yaml\n{config.rstrip()}\n{fence}"
    return f"{table}\n\n<details>{summary}\n\n{block}\n\n</details>"
