"""Published scores for comparison, from the package data in `published/*.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..utils.errors import LangDGError
from ..utils.provenance import leaves, plain_data
from .confusion import MEAN_IOU, subset_metric

_FILES = Path(__file__).parent / "published"


@dataclass(frozen=True, kw_only=True)
class PublishedFigures:
    """A row of a published table, with mean IoU in the authors' convention.

    Attributes:
        name: name of the row in configs.
        about: model or ablation.
        reference: authors and publication.
        source: domain that the model was trained on.
        protocol: name of the test protocol in this project.
        inference: inference variant, worded as in `BenchmarkRun`.
        tower: open_clip's name of the CLIP model.
        classes: name of the averaged class subset.
        targets: domains of the published mean.
        figures: mean IoU in percent by domain; empty if only the mean was published.
        mean: published mean over `targets`, rounded by its authors; None if there is none.
    """

    name: str
    about: str
    reference: str
    source: str
    protocol: str
    inference: str
    tower: str
    classes: str
    targets: tuple[str, ...]
    figures: Mapping[str, float]
    mean: float | None = None

    def metric(self, scored_classes: str) -> str:
        """Return the name of our metric that is comparable, given the classes we scored."""
        same = scored_classes == self.classes
        return MEAN_IOU if same else subset_metric(MEAN_IOU, self.classes)

    def differences(
        self, *, protocol: str, inference: str, source: str | None, tower: str | None
    ) -> list[str]:
        """Describe the differences in measurement to a run of ours, in a sentence each."""
        sentences = []
        if protocol != self.protocol:
            sentences.append(
                f"Protocols differ: ours '{protocol}', published '{self.protocol}'; images are "
                "cropped or resized differently, so the difference is not only due to the model."
            )
        ours, theirs = (text.replace(",", "").split() for text in (inference, self.inference))
        if sorted(ours) != sorted(theirs):  # the order of the scales does not matter
            sentences.append(
                f"Inference differs: ours {inference}, published {self.inference}; the "
                "difference is not only due to the model."
            )
        if source and source != self.source:
            sentences.append(f"Sources differ: ours {source}, published {self.source}.")
        if tower is not None and tower != self.tower:
            sentences.append(f"Models differ: ours CLIP {tower}, published {self.tower}.")
        return sentences


def published_figures(name: str) -> PublishedFigures:
    """Return a published row by name."""
    rows = _rows()
    if name not in rows:
        raise LangDGError(f"no published figures '{name}'; expected one of {published_names()}")
    return rows[name]


def published_names() -> list[str]:
    """Return the names of all published rows."""
    return list(_rows())


def tower_of(config: Any) -> str | None:
    """Return the tower's name in a recorded config, with the tag of weights not from OpenAI."""
    settings = dict(leaves(plain_data(config)))
    name, weights = (settings.get(f"model.backbone.tower.{key}") for key in ("name", "weights"))
    is_tag = weights is not None and "." not in weights  # files may have OpenAI's weights
    return f"{name} ({weights})" if is_tag and weights != "openai" else name


@cache
def _rows() -> dict[str, PublishedFigures]:
    rows = {}
    for path in sorted(_FILES.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        for name, row in table.pop("rows").items():
            facts = table | row  # rows may override facts of their table
            targets, values = tuple(facts.pop("targets")), facts.pop("figures", [])
            figures = dict(zip(targets, values, strict=True)) if values else {}
            rows[name] = PublishedFigures(name=name, targets=targets, figures=figures, **facts)
    return rows
