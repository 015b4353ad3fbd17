"""Checks of what a benchmark is asked to do, to be made before hours of training."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from .inference import build_inference
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
        ValueError: names the setting, what it is and what it can be.
    """
    _check_names("evaluation.domains", domains, known)
    for group, members in groups.items():
        _check_names(f"evaluation.groups.{group}", members, known)
    if source is not None:
        # Or it would silently count as an unseen target.
        _check_names("evaluation.source", [source] if isinstance(source, str) else source, known)
    if published is not None:
        published_figures(published)
    build_inference(nn.Identity(), **inference)


def _check_names(setting: str, names: Sequence[str], known: Collection[str]) -> None:
    if isinstance(names, str) or not names:
        raise ValueError(f"{setting} is {names!r}, expected a list with at least one domain")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{setting} has unknown domains {unknown}; known are {sorted(known)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{setting} names a domain twice: {list(names)}")
