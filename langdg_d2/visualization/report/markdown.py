"""The report as Markdown, with links to the pictures."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from ...evaluation.markdown import (
    Markdown,
    benchmark_sections,
    markdown_table,
    percent,
    plain_markdown,
)
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
    parts = [f"# {plain_markdown(title(results))}", plain_markdown(lead(results))]
    parts += [f"## {plain_markdown(heading)}\n\n{text}" for heading, text in sections if text]
    return "\n\n".join(parts) + "\n"


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
            "domain": domains,
            "true class": truths,
            "predicted as": predictions,
            "share": [f"{share:.1%}" for share in shares],
            "pixels": [f"{number:,}" for number in pixels],
        }
    )


def _images(results: ResultsFolder, place: Path) -> str:
    found = [(domain, one) for domain in results.domains for one in results.pictures(domain)]
    if not found:
        return ""
    targets = (os.path.relpath(one.file, place).replace(os.sep, "/") for _, one in found)
    links = (quote(os.fsencode(target)) for target in targets)
    return markdown_table(
        {
            "domain": [row_label(domain, results.run.source) for domain, _ in found],
            "image": [one.score.image for _, one in found],
            "mIoU": [percent(one.score.mean_iou) for _, one in found],
            "pixel accuracy": [percent(one.score.pixel_accuracy) for _, one in found],
            "picture": [
                Markdown(f"[{plain_markdown(one.kind)}]({link})")
                for (_, one), link in zip(found, links, strict=True)
            ],
        }
    )


def _training(results: ResultsFolder) -> str:
    curves = results.mean_ious
    iterations = sorted({k for series in curves.values() for k in series})[-_EVALUATIONS:]
    if len(iterations) < 2:
        return ""
    columns: dict[str, list[object]] = {"iteration": [*iterations]}
    for domain, series in curves.items():
        values = [series.get(k, float("nan")) for k in iterations]
        columns[row_label(domain, results.run.source)] = list(map(percent, values))
    return markdown_table(columns)


def _conditions(results: ResultsFolder) -> str:
    found = conditions(results)
    table = markdown_table({"condition": list(found), "value": list(found.values())})
    config = config_text(results.record.get("config"))
    if config is None:
        return table
    longest = max(map(len, re.findall("`+", config)), default=0)
    fence = "`" * max(3, longest + 1)
    summary = "<summary>The whole configuration</summary>"
    block = f"{fence}yaml\n{config.rstrip()}\n{fence}"
    return f"{table}\n\n<details>{summary}\n\n{block}\n\n</details>"
