"""Checks of what a benchmark is asked to do, to be made before hours of training."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from torch import nn

from ..data.datasets.builtin import FAMILIES
from ..structures.source_names import as_names
from ..utils.errors import LangDGError
from .inference import build_inference
from .predictions import ENCODINGS, PredictionWriter
from .published import published_figures


def check_settings(
    *,
    domains: Sequence[str],
    known: Collection[str],
    source: str | Sequence[str] | None,
    groups: Mapping[str, Sequence[str]],
    published: str | None,
    inference: Mapping[str, Any],
) -> None:
    """See that the settings of a benchmark make sense together.

    Args:
        domains: what to score.
        known: names of all domains.
        source: domain that the model was trained on, or several, scored or not; None if it is
            none of them.
        groups: domains by the name of a group with a mean of its own.
        published: name of published figures, or None.
        inference: arguments of `build_inference`.

    Raises:
        LangDGError: names the setting, what it is and what it can be.
    """
    _check_names("evaluation.domains", domains, known)
    for group, members in groups.items():
        _check_names(f"evaluation.groups.{group}", members, known)
    if source is not None:
        # Or it would silently count as an unseen target.
        _check_names("evaluation.source", as_names(source), known)
    _check_images([*domains, *as_names(source or ())])
    if published is not None:
        published_figures(published)
    build_inference(nn.Identity(), **inference)


def check_evaluators(
    evaluators: Mapping[str, Sequence[DatasetEvaluator]],
    *,
    source: str | Sequence[str] | None,
    groups: Mapping[str, Sequence[str]],
) -> None:
    """See that something comes of every domain, also of those without labels.

    Args:
        evaluators: of every domain to evaluate.
        source: as for `check_settings`.
        groups: as for `check_settings`.

    Raises:
        LangDGError: if a domain gives neither scores nor files, or one without scores is among
            those that need them.
    """
    for domain, found in evaluators.items():
        writers = [one for one in found if isinstance(one, PredictionWriter)]
        if len(writers) < len(found):
            continue
        if not any(writer.writes for writer in writers):
            raise LangDGError(
                f"evaluation.domains has '{domain}', which has no labels: set "
                f"evaluation.predictions to one of {', '.join(ENCODINGS)}, or leave it out"
            )
        scored = [f"evaluation.groups.{g}" for g, members in groups.items() if domain in members]
        scored += ["evaluation.source"] if domain in as_names(source or ()) else []
        if scored:
            raise LangDGError(
                f"{scored[0]} has '{domain}', which has no labels and no scores: leave it out"
            )


def _check_images(names: Sequence[str]) -> None:
    """See that no images count twice, nor as unseen where they are the source's."""
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


def _check_names(setting: str, names: Sequence[str], known: Collection[str]) -> None:
    if isinstance(names, str) or not names:
        raise LangDGError(f"{setting} is {names!r}, expected a list with at least one domain")
    if unknown := [name for name in names if name not in known]:
        raise LangDGError(f"{setting} has unknown domains {unknown}; known are {sorted(known)}")
    if len(set(names)) < len(names):
        raise LangDGError(f"{setting} names a domain twice: {list(names)}")
