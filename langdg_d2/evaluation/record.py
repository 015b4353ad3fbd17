"""What a benchmark was made with, and the record of it for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..utils.provenance import environment, git_state, plain_data, versions
from .published import published_figures
from .results import (
    CONVENTIONS,
    TASK,
    Results,
    ordered_domains,
    scored_classes,
    source_name,
)

# Raised when a reader of older records would misunderstand newer ones.
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class BenchmarkRun:
    """What a benchmark was made with.

    Attributes:
        protocol: name of the test protocol, e.g. "full".
        inference: how images are put through the model, e.g. "whole image, scales 1 and 0.5".
        source: domain the model was trained on, whether or not it is among the results; several,
            given as a list, become "a + b".
        config_file: path of the configuration file.
        config: the whole configuration: a mapping (a DictConfig as well) or text.
        weights: checkpoint, as it was given.
        seed: seed of the training run; None where a checkpoint is scored, which does not tell.
        styles: what features were restyled with in training, see `TargetStyles.record`; None where
            nothing was restyled or a checkpoint is scored, which does not tell.
        groups: domains by the name of the group whose mean is given.
        sets: in what data sets differ from their releases, by domain, see `incomplete_sets`.
        published: name of the published figures to set beside these, see `published_figures`.
        sections: more to say in the report, Markdown by heading.
        date: when it was scored, UTC in ISO 8601; `run_benchmark` fills it in.

    Raises:
        LangDGError: for unknown published figures.
    """

    protocol: str
    inference: str = "whole image"
    source: str | None = None
    config_file: str | None = None
    config: Mapping[str, Any] | str | None = None
    weights: str | None = None
    seed: int | None = None
    styles: Mapping[str, Any] | None = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    published: str | None = None
    sections: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", source_name(self.source))
        if self.published is not None:
            published_figures(self.published)


def tower_name(config: object) -> str | None:
    """The CLIP that a config or its plain data names; None for other data."""
    for key in ("model", "backbone", "tower", "name"):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config if isinstance(config, str) else None


def benchmark_record(results: Results, run: BenchmarkRun) -> dict[str, Any]:
    """The results unrounded with all they were made with; JSON types only, NaN as None.

    Raises:
        LangDGError: if the results hold no scores.
    """
    domains = ordered_domains(results, run.source)
    figures = {
        domain: {
            task: {k: None if math.isnan(v) else v for k, v in metrics.items()}
            for task, metrics in results[domain].items()
        }
        for domain in domains
    }
    made_with = {one.name: plain_data(getattr(run, one.name)) for one in fields(run)}
    return {
        "format": FORMAT,
        **made_with,
        "git": git_state(),
        "versions": versions(),
        "environment": environment(),
        "conventions": CONVENTIONS,
        "scored_classes": {d: scored_classes(results[d].get(TASK, {})) for d in domains},
        "results": figures,
    }
