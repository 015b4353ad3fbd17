"""What is kept of an evaluation beside its scores, in `details.json` and `images.csv`.

For each domain, where its evaluators have it: "classes", the names of all classes, and
"confusion", the pixel counts of each class (rows, ground truth) as each class (columns,
predicted); "images", how well every image was segmented; "pictures" of some of them.
"""

import csv
import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from detectron2.evaluation import DatasetEvaluator

from ..utils.errors import LangDGError
from .image_scores import ImageScore

DETAILS = "details.json"
IMAGES = "images.csv"

Details = Mapping[str, Mapping[str, Any]]


@runtime_checkable
class DetailedEvaluator(Protocol):
    """An evaluator that knows more than its scores."""

    def details(self) -> dict[str, Any]:
        """JSON data by name, after `evaluate()`; complete on the main process only."""


def collect_details(
    evaluators: Mapping[str, DatasetEvaluator | Iterable[DatasetEvaluator]],
) -> dict[str, dict[str, Any]]:
    """What the evaluators of every domain know beside their scores."""
    collected: dict[str, dict[str, Any]] = {}
    for domain, of_domain in evaluators.items():
        one_or_more = [of_domain] if isinstance(of_domain, DatasetEvaluator) else of_domain
        collected[domain] = {}
        for evaluator in one_or_more:
            if isinstance(evaluator, DetailedEvaluator):
                collected[domain] |= evaluator.details()
    return collected


def details_json(details: Details) -> str:
    """A line per domain, without the single images."""
    lines = (
        f"{json.dumps(domain)}: "
        + json.dumps({key: value for key, value in found.items() if key != "images"})
        for domain, found in details.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_details(folder: Path) -> dict[str, dict[str, Any]]:
    """What `details_json` wrote into a folder; nothing, and a warning, of a damaged file."""
    path = folder / DETAILS
    if not path.is_file():
        return {}
    try:
        details = json.loads(path.read_text(encoding="utf-8"))
        for found in details.values():
            _check(found)
    except (OSError, ValueError, AttributeError, TypeError, KeyError, LangDGError) as error:
        logging.getLogger(__name__).warning("'%s' is damaged and left out: %s", path, error)
        return {}
    return details


def _check(found: Mapping[str, Any]) -> None:
    """Raise some error unless the details of a domain can be shown."""
    rows, number = found.get("confusion", []), len(found.get("classes", []))
    if rows and [len([n for n in row if isinstance(n, int)]) for row in rows] != [number] * number:
        raise LangDGError(f"expected {number} x {number} numbers of pixels, as there are classes")
    for picture in found.get("pictures", []):
        if not all(isinstance(picture[key], str) for key in ("file", "kind", "image")):
            raise LangDGError("a picture lacks a name")
        if not all(math.isfinite(picture[key]) for key in ("mIoU", "pixel_accuracy")):
            raise LangDGError("a picture lacks a score")


def read_images(folder: Path) -> dict[str, list[ImageScore]]:
    """Scores of the single images by domain, from a folder; nothing, and a warning, if damaged."""
    path = folder / IMAGES
    images: dict[str, list[ImageScore]] = {}
    if not path.is_file():
        return images
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                scores = (float(row[key] or math.nan) for key in ("mIoU", "pixel_accuracy"))
                images.setdefault(row["domain"], []).append(ImageScore(row["image"], *scores))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        logging.getLogger(__name__).warning("'%s' is damaged and left out: %s", path, error)
        return {}
    return images
