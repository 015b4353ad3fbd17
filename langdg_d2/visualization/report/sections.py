"""The sections of the report's page."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...evaluation.markdown import PER_CLASS, benchmark_sections
from ...evaluation.results import (
    CLASS_IOU,
    MEAN,
    MEAN_IOU,
    TASK,
    ordered_domains,
    row_label,
    unseen_targets,
)
from ..figures import BLUE, ORANGE, rgb
from ..html import (
    Markup,
    Section,
    facts,
    fold,
    gallery,
    markup,
    paragraph,
    section,
    subsection,
    svg,
    swatch,
    table,
)
from .bars import bars_figure
from .blocks import html_blocks
from .conditions import conditions, config_text
from .curves import curves_figure
from .matrices import largest_confusions, matrix_figure
from .pictures import embedded_pictures, show_pictures, spread_figure, spread_text
from .results_folder import Counts, ResultsFolder, Series

_CONFUSIONS = 8  # listed beside a matrix
PICTURE_BYTES = 1_600_000  # of all pictures; a third more in the page
_KINDS = {"worst": "Worst", "best": "Best"}


def report_sections(results: ResultsFolder) -> list[Section]:
    """All sections there is something for, in their order."""
    tables = benchmark_sections(results.results, results.run)
    per_class = tables.pop(PER_CLASS)
    sections = [
        _scores(tables),
        _per_class(results, per_class),
        _confusions(results),
        _images(results),
        _training(results),
        *(section(heading, html_blocks(text)) for heading, text in results.run.sections.items()),
        _conditions(results),
    ]
    return [one for one in sections if one is not None]


def _scores(tables: Mapping[str, str]) -> Section:
    (heading, overview), *others = tables.items()
    blocks = (subsection(title, html_blocks(text)) for title, text in others)
    return section(heading, html_blocks(overview), *blocks)


def _per_class(results: ResultsFolder, numbers: str) -> Section | None:
    source, tables = results.run.source, results.results
    ious = {domain: _class_ious(tables[domain]) for domain in ordered_domains(tables, source)}
    reference = ious.get(MEAN, {})
    panels = []
    for domain, found in ious.items():
        if found:
            label, mean = row_label(domain, source), tables[domain][TASK].get(MEAN_IOU, math.nan)
            ticks = {} if domain == MEAN else reference
            figure = bars_figure(label, found, mean=mean, reference=ticks)
            panels.append(svg(figure, f"IoU per class, {label}"))
    if not panels:
        return None
    marks = [swatch(rgb(BLUE)), "IoU in percent"]
    marks += [" \u2003", swatch(rgb(ORANGE)), "mean of the unseen targets"] if reference else []
    return section(
        PER_CLASS, paragraph(*marks), gallery(*panels), fold("As a table", html_blocks(numbers))
    )


def _class_ious(tasks: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    table = tasks.get(TASK, {})
    return {
        key.removeprefix(CLASS_IOU): iou for key, iou in table.items() if key.startswith(CLASS_IOU)
    }


def _confusions(results: ResultsFolder) -> Section | None:
    found = {domain: results.confusion(domain) for domain in results.domains}
    known = {domain: confusion for domain, confusion in found.items() if confusion is not None}
    if not known:
        return None
    targets = [known[d] for d in unseen_targets(results.results, results.run.source) if d in known]
    blocks = []
    if len(targets) > 1 and all(classes == targets[0][0] for classes, _ in targets):
        together = np.sum([counts for _, counts in targets], axis=0)
        title = "All unseen targets together"
        blocks.append(subsection(title, _confusion(title, targets[0][0], together)))
    for domain, confusion in known.items():
        label = row_label(domain, results.run.source)
        show = fold if len(known) > 1 else subsection
        blocks.append(show(label, _confusion(label, *confusion)))
    legend = paragraph(
        swatch(rgb(BLUE)),
        "right \u2003",
        swatch(rgb(ORANGE)),
        "wrong: percent of the true class' pixels.",
    )
    return section("Confusions", legend, *blocks)


def _confusion(title: str, classes: list[str], counts: Counts) -> Markup:
    largest = largest_confusions(classes, counts, _CONFUSIONS)
    columns = {
        "true class": [one.truth for one in largest],
        "predicted as": [one.prediction for one in largest],
        "share": [f"{one.share:.1%}" for one in largest],
        "pixels": [f"{one.pixels:,}" for one in largest],
    }
    matrix = svg(matrix_figure(classes, counts), f"Confusion matrix, {title}")
    return gallery(matrix, table(columns))


def _images(results: ResultsFolder) -> Section | None:
    pictures = {domain: results.pictures(domain) for domain in results.domains}
    embedded = embedded_pictures(pictures, PICTURE_BYTES)
    blocks: list[Markup] = []
    for domain in results.domains:
        parts: list[str] = []
        if images := results.images.get(domain):
            histogram = svg(spread_figure(images), "Mean IoU of the images")
            parts += [spread_text(images), histogram]
        for kind, heading in _KINDS.items():
            of_kind = [one for one in pictures[domain] if one.kind == kind]
            if shown := [one for one in of_kind if one.file.name in embedded]:
                parts += [Markup(f"<h4>{heading}</h4>"), show_pictures(shown, embedded)]
        if parts:
            blocks.append(subsection(row_label(domain, results.run.source), *parts))
    if not blocks:
        return None
    colors = (
        part for name, color in results.colors.items() for part in (swatch(color), f"{name} \u2003")
    )
    about = "An image's mean IoU, in percent, is over the classes that its ground truth has."
    return section("Images", about, *([paragraph(*colors)] if embedded else []), *blocks)


def _training(results: ResultsFolder) -> Section | None:
    metrics, charts = results.metrics, []
    losses = [name for name in metrics if "loss" in name]
    if len(losses) == 2:  # the only loss, and the same as the total
        losses = ["total_loss"]
    if losses:
        charts.append(_curves("Loss", {name: metrics[name] for name in losses}))
    if "lr" in metrics:
        charts.append(_curves("Learning rate", {"lr": metrics["lr"]}))
    mean_ious = {
        row_label(domain, results.run.source): series
        for domain, series in results.mean_ious.items()
        if len(series) > 1
    }
    if mean_ious:
        mean = row_label(MEAN)
        charts.append(_curves("Mean IoU, %", mean_ious, from_zero=False, emphasized=mean))
    return section("Training", gallery(*charts)) if charts else None


def _curves(title: str, curves: Mapping[str, Series], **options: Any) -> Markup:
    return svg(curves_figure(title, curves, **options), f"{title} over the iterations")


def _conditions(results: ResultsFolder) -> Section:
    blocks = [facts(conditions(results))]
    if (text := config_text(results.record.get("config"))) is not None:
        text = Markup(f'<div class="wide"><pre>{markup(text)}</pre></div>')
        blocks.append(fold("The whole configuration", text))
    return section("Conditions", *blocks)
