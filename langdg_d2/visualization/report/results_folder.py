"""What training and evaluation left in a results folder, read for a report."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...evaluation import BenchmarkRun, ImageScore, read_benchmark, read_details, read_images
from ...evaluation.results import MEAN_IOU, is_mean

METRICS = "metrics.json"
OVERLAYS = "overlays"

Counts = npt.NDArray[np.int64]
# Values by iteration.
Series = Mapping[int, float]


class Picture(NamedTuple):
    """A picture of a prediction.

    Attributes:
        file: JPEG.
        kind: "best" or "worst".
        score: name and scores of the image.
    """

    file: Path
    kind: str
    score: ImageScore


@dataclass(frozen=True, kw_only=True)
class ResultsFolder:
    """A results folder.

    Attributes:
        folder: where it is.
        record: the benchmark's record.
        details: what was kept beside it, by domain.
        images: scores of single images, by domain.
        metrics: what was reported during training, by name.
    """

    folder: Path
    record: Mapping[str, Any]
    details: Mapping[str, Mapping[str, Any]]
    images: Mapping[str, Sequence[ImageScore]]
    metrics: Mapping[str, Series]

    @cached_property
    def run(self) -> BenchmarkRun:
        """What the benchmark was made with."""
        known = (one.name for one in fields(BenchmarkRun) if one.name in self.record)
        return BenchmarkRun(**{name: self.record[name] for name in known})

    @cached_property
    def results(self) -> dict[str, dict[str, dict[str, float]]]:
        """The figures in percent, NaN for missing ones."""
        return {
            domain: {
                task: {k: math.nan if v is None else v for k, v in table.items()}
                for task, table in tasks.items()
            }
            for domain, tasks in self.record["results"].items()
        }

    @property
    def domains(self) -> list[str]:
        """The domains in the order of the tables, without means."""
        return [domain for domain in self.results if not is_mean(domain)]

    def confusion(self, domain: str) -> tuple[list[str], Counts] | None:
        """Names of the classes, and pixels by true and predicted class; None if not recorded."""
        found = self.details.get(domain, {})
        if "confusion" not in found:
            return None
        return found["classes"], np.array(found["confusion"], np.int64)

    def pictures(self, domain: str) -> list[Picture]:
        """The pictures whose files are there."""
        pictures = []
        for found in self.details.get(domain, {}).get("pictures", ()):
            # The name alone: no record leads to files elsewhere.
            file = self.folder / OVERLAYS / Path(found["file"]).name
            score = ImageScore(found["image"], found["mIoU"], found["pixel_accuracy"])
            if file.is_file():
                pictures.append(Picture(file, found["kind"], score))
        return pictures

    @property
    def colors(self) -> dict[str, Sequence[int]]:
        """Colours of the classes in the pictures, RGB in 0..255."""
        found = (self.details.get(domain, {}).get("colors", {}) for domain in self.domains)
        return next(filter(None, found), {})

    @property
    def mean_ious(self) -> dict[str, Series]:
        """Mean IoU during training, by domain and mean."""
        names = {domain: f"{domain}/{MEAN_IOU}" for domain in self.results}
        return {d: self.metrics[name] for d, name in names.items() if name in self.metrics}


def read_results(folder: Path) -> ResultsFolder:
    """Read what there is.

    Where a checkpoint was scored, training left its metrics beside the checkpoint.

    Raises:
        BenchmarkFileError: if the benchmark's record is missing or damaged; all else is left out.
    """
    record = read_benchmark(folder)
    run = weights_folder(record)
    places = [folder / METRICS, *([run / METRICS] if run else [])]
    return ResultsFolder(
        folder=folder,
        record=record,
        details=read_details(folder),
        images=read_images(folder),
        metrics=next((_read_metrics(file) for file in places if file.is_file()), {}),
    )


def weights_folder(record: Mapping[str, Any]) -> Path | None:
    """Folder of the checkpoint that was scored; None of a benchmark at the end of training."""
    weights = record["weights"]
    return Path(weights).parent if weights else None


def _read_metrics(path: Path) -> dict[str, dict[int, float]]:
    """Finite values by name and iteration; what a resumed run did again counts once."""
    metrics: dict[str, dict[int, float]] = {}
    last = -1  # iteration of training
    for line in _json_lines(path):
        iteration = line["iteration"]
        if "total_loss" in line:
            if iteration <= last:
                metrics = {
                    name: {k: v for k, v in values.items() if k < iteration}
                    for name, values in metrics.items()
                }
            last = iteration
        for name, value in line.items():
            if name != "iteration" and isinstance(value, (int, float)) and math.isfinite(value):
                metrics.setdefault(name, {})[iteration] = float(value)
    return {name: dict(sorted(values.items())) for name, values in metrics.items() if values}


def _json_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # the last line of a run that was killed
            logging.getLogger(__name__).warning("a damaged line of '%s' is left out", path)
            continue
        if isinstance(line, dict) and isinstance(line.get("iteration"), int):
            lines.append(line)
    return lines
