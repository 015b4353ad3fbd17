"""Nested results of an evaluation: their names, their means and their order.

Everything is a function of `{domain: {task: {metric: value}}}`, which `evaluate_domains` returns;
values are percent and never rounded here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from ..data.sources import joined_names, split_names
from ..structures import CLASS_SUBSETS
from ..utils.errors import LangDGError

# {domain: {task: {metric: value}}}
Results = Mapping[str, Mapping[str, Mapping[str, float]]]

TASK = "sem_seg"
MEAN = "mean"
NUM_IMAGES = "num_images"
CLASS_IOU = "IoU-"
CLASS_ACCURACY = "ACC-"
MEAN_IOU = "mIoU"
CONVENTIONS = {
    "mIoU": "authors: nan-mean of TP/(TP+FP+FN); a class absent from the ground truth but "
    "predicted counts as 0. The one to compare with FAMix and RobustNet",
    "mIoU_detectron2": "detectron2: mean over the classes with ground-truth pixels only, as "
    "SemSegEvaluator",
}
HEADLINES = {
    "mIoU": "mIoU (authors)",
    "mIoU_detectron2": "mIoU (detectron2)",
    "pixel_accuracy": "pixel accuracy",
}
_GROUP = "mean of "


def subset_headlines(metrics: Iterable[str]) -> dict[str, str]:
    """Those of `metrics` that are means over a named part of the scored classes, with titles."""
    found = list(metrics)
    titles = {
        subset_metric(metric, subset): f"{subset} classes ({convention})"
        for subset in CLASS_SUBSETS
        for metric, convention in ((MEAN_IOU, "authors"), (f"{MEAN_IOU}_detectron2", "detectron2"))
    }
    return {metric: title for metric, title in titles.items() if metric in found}


def subset_metric(metric: str, subset: str) -> str:
    """Name of a mean IoU over a named class subset, e.g. "mIoU_16_detectron2"."""
    return metric.replace(MEAN_IOU, f"{MEAN_IOU}_{subset}", 1)


def scored_classes(table: Mapping[str, float]) -> str:
    """Classes that one domain's metrics were averaged over: a subset's name, or all of theirs."""
    names = [key.removeprefix(CLASS_IOU) for key in table if key.startswith(CLASS_IOU)]
    named = {frozenset(classes): subset for subset, classes in CLASS_SUBSETS.items()}
    return named.get(frozenset(names), ", ".join(names))


def group_mean(group: str) -> str:
    """Key of the mean over a group of domains in the results."""
    return _GROUP + group


def is_mean(domain: str) -> bool:
    """Whether a key of the results is a mean over domains, not a domain."""
    return domain == MEAN or domain.startswith(_GROUP)


def source_name(source: str | Sequence[str] | None) -> str | None:
    """What tables call the source: a domain, or several as "a + b"."""
    return None if source is None else joined_names(source)


def source_domains(source: str | None) -> list[str]:
    """The domains of a `source_name`."""
    return split_names(source) if source else []


def unseen_targets(results: Results, source: str | None) -> list[str]:
    """The domains the model was not trained on; no means."""
    seen = source_domains(source)
    return [domain for domain in results if domain not in seen and not is_mean(domain)]


def mean_over(results: Results, domains: Iterable[str]) -> dict[str, dict[str, float]]:
    """Average every metric over some of the domains.

    A metric of one class ("IoU-road") is averaged over the domains that have the class. Any
    other metric is NaN if one domain lacks it, so that no mean hides a missing domain.

    Returns:
        `{task: {metric: mean}}`, without the number of images.
    """
    members = [results[domain] for domain in domains]
    means: dict[str, dict[str, float]] = {}
    for task in union(members):
        tables = [tasks.get(task, {}) for tasks in members]
        means[task] = {}
        for metric in union(tables):
            values = [table.get(metric, math.nan) for table in tables]
            if "-" in metric:  # Detectron2 writes the metrics of a class as "<metric>-<class>"
                values = [value for value in values if not math.isnan(value)]
            if metric != NUM_IMAGES:
                means[task][metric] = fmean(values) if values else math.nan
    return means


def mean_over_targets(results: Results, *, source: str | None) -> dict[str, dict[str, float]]:
    """`mean_over` the domains other than `source`, each counted once whatever groups hold it."""
    return mean_over(results, unseen_targets(results, source))


def headline_figures(results: Results) -> dict[str, dict[str, float]]:
    """Each domain's mean IoUs and pixel accuracy, where they are finite, for training curves.

    Returns:
        `{domain: {metric: percent}}`; off the main process every domain is empty.
    """
    figures = {}
    for domain, tasks in results.items():
        table = tasks.get(TASK, {})
        figures[domain] = {
            metric: table[metric]
            for metric in HEADLINES
            if math.isfinite(table.get(metric, math.nan))
        }
    return figures


def ordered_domains(results: Results, source: str | None) -> list[str]:
    """The source first, then targets in their order, then means of groups, the overall one last.

    Raises:
        LangDGError: if the results hold no scores.
    """
    if not any(results.values()):
        raise LangDGError(
            f"the results of {list(results)} hold no scores; only the main process has them"
        )

    def rank(domain: str) -> int:
        return -1 if domain in source_domains(source) else is_mean(domain) + (domain == MEAN)

    return sorted(results, key=rank)  # stable: targets keep their order


def row_label(domain: str, source: str | None = None, sets: Mapping[str, str] | None = None) -> str:
    """How tables call a row: "gta5 (source)", "fog", "mean of acdc", "mean of unseen targets".

    Args:
        domain: or the key of a mean.
        source: domain that the model was trained on.
        sets: in what data sets differ from their releases, by domain: "fog (3 of 100 images)".
    """
    name = "mean of unseen targets" if domain == MEAN else domain
    remarks = ["source"] if domain in source_domains(source) else []
    remarks += [sets[domain]] if sets and domain in sets else []
    return f"{name} ({'; '.join(remarks)})" if remarks else name


def with_means(
    sets: Mapping[str, str],
    results: Results,
    *,
    source: str | None,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Remarks on domains, and on the means over some of them.

    Args:
        sets: in what data sets differ from their releases, by domain.
        results: with their means.
        source: domain that the model was trained on.
        groups: domains by the name of a group.
    """
    means = {MEAN: unseen_targets(results, source)}
    means |= {group_mean(group): list(members) for group, members in groups.items()}
    remarks = dict(sets)
    for mean, members in means.items():
        if found := [domain for domain in members if domain in sets]:
            remarks[mean] = f"with {', '.join(found)}"
    return remarks


def union(mappings: Iterable[Mapping[str, object]]) -> list[str]:
    """All keys, each once, in the order of first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
