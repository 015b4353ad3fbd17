"""Evaluation of one model on many domains: the benchmark of domain generalization.

The model is trained on one source; every other domain is an unseen target, and the figure the
papers compare is the mean over the unseen targets.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset
from detectron2.utils import comm
from torch import nn
from tqdm import tqdm

from ..layers import fold
from ..utils.errors import LangDGError
from .results import (
    MEAN,
    group_mean,
    is_mean,
    mean_over,
    mean_over_targets,
    source_domains,
    unseen_targets,
)


def evaluate_domains(
    model: Callable[[Any], Any],
    loaders: Mapping[str, Iterable[Any]],
    evaluators: Mapping[str, DatasetEvaluator | list[DatasetEvaluator]],
    *,
    source: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Run inference on every domain in turn; every process must call this.

    Domains whose evaluators give no scores, as of test sets without labels, are left out of the
    results. cuDNN does not time its convolutions anew for each size of images meanwhile.

    Args:
        model: maps a batch of inputs to outputs. Put in eval mode and folded while this runs;
            afterwards, also after an error, every submodule is in the mode it was in.
        loaders: domain name to test loader, with a length.
        evaluators: domain name to its evaluator, or a list of them; the same names.
        source: name of the domain the model was trained on, or of several as `source_name` gives
            them, left out of the mean; None if it is not among the domains.
        groups: domains by the name of a group that gets a mean of its own, where all of them are
            unseen targets of this evaluation.

    Returns:
        `{domain: {task: {metric: value}}}` in the loaders' order, under "mean of <group>" the
        groups' means, and under "mean" the mean over the unseen targets, where there are any;
        groups do not count in it. Off the main process every domain is empty.

    Raises:
        LangDGError: if the names do not agree, or a group is empty or names a domain twice.
    """
    groups = groups or {}
    _check_names(loaders, evaluators, source)
    _check_groups(groups)
    results: dict[str, dict[str, dict[str, float]]] = {}
    with _modes_restored(model), fold(model), _without_cudnn_benchmark():
        for domain, loader in loaders.items():
            # disable=None: no bar where stderr is a file; Detectron2 logs rate and ETA as text.
            disable = None if comm.is_main_process() else True
            with tqdm(loader, desc=domain, unit="batch", disable=disable) as progress:
                results[domain] = dict(inference_on_dataset(model, progress, evaluators[domain]))
    if comm.is_main_process():
        results = {domain: tasks for domain, tasks in results.items() if tasks}
    return results | _means(results, source, groups)


def _means(
    results: Mapping[str, Mapping[str, Mapping[str, float]]],
    source: str | None,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Of the groups that are complete, and of all unseen targets, where there are any."""
    means = {}
    targets = unseen_targets(results, source)
    for group, members in groups.items():
        if missing := [domain for domain in members if domain not in targets]:
            logging.getLogger(__name__).info(
                "No mean of group '%s': %s not evaluated as unseen targets", group, missing
            )
        else:
            means[group_mean(group)] = mean_over(results, members)
    if targets:
        means[MEAN] = mean_over_targets(results, source=source)
    return means


def _check_names(
    loaders: Mapping[str, object], evaluators: Mapping[str, object], source: str | None
) -> None:
    if set(loaders) != set(evaluators):
        raise LangDGError(
            f"loaders {sorted(loaders)} and evaluators {sorted(evaluators)} must name the same "
            f"domains; {sorted(set(loaders) ^ set(evaluators))} lack one of the two"
        )
    if reserved := [domain for domain in loaders if is_mean(domain)]:
        raise LangDGError(f"domains {reserved} would be taken for means over domains; rename them")
    if any(name not in loaders for name in source_domains(source)):
        # A misspelt source would silently be averaged into the unseen targets.
        raise LangDGError(
            f"source '{source}' is not one of the domains {sorted(loaders)}; "
            "correct it, or pass None if the source is not evaluated"
        )


def _check_groups(groups: Mapping[str, Sequence[str]]) -> None:
    for group, members in groups.items():
        if not members or len(set(members)) < len(members):
            raise LangDGError(
                f"group '{group}' has the domains {list(members)}; expected one or more, "
                "each named once"
            )


@contextmanager
def _without_cudnn_benchmark() -> Iterator[None]:
    """Training's choice by speed pays for crops of one size only."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _modes_restored(model: Callable[[Any], Any]) -> Iterator[None]:
    """Keep each submodule's own train/eval mode (`model.train(mode)` would flatten them)."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
