"""The report of a benchmark: one page from the files in a results folder."""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml
from detectron2.utils import comm
from matplotlib.figure import Figure

from ..data import ImageFileError, read_image
from ..evaluation import BenchmarkRun, read_benchmark, read_details, read_images, record_rows
from ..evaluation.benchmark import RECORD
from ..evaluation.confusion import MEAN_IOU
from ..evaluation.tables import (
    MEAN,
    PER_CLASS,
    TARGET,
    benchmark_sections,
    class_ious,
    given_sections,
    percent,
    row_titles,
)
from ..utils.file_io import write_atomically
from . import figures
from .page import render
from .sem_seg import Image, encode

REPORT = "report.html"
PICTURE_BYTES = 1_600_000  # of all pictures; a third more in the page
_METRICS, _OVERLAYS = "metrics.json", "overlays"
_SCALES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)  # of pictures
_QUALITY = 75  # of JPEG

Titles = Mapping[str, str]  # of domains and means
Details = Mapping[str, Mapping[str, Any]]

logger = logging.getLogger(__name__)


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write one HTML page that needs no other file.

    What the folder lacks is left out. The same files at the same place give the same page, byte
    for byte.

    Args:
        folder: results of training or evaluation.
        output: file of the page, made with its folder; `report.html` in the folder if None.

    Returns:
        File of the page.

    Raises:
        BenchmarkFileError: if the folder has no benchmark's record, or a damaged one.
        OSError: if files cannot be read or written.
    """
    output = output or folder / REPORT
    write_atomically(output, render("report.html.j2", **report_values(folder)))
    return output


def write_report_of_run(folder: str | Path) -> None:
    """Write the report of a run that has just ended, on the main process, if it scored something.

    An error is logged, not raised: the scores are worth more than their picture.
    """
    if not comm.is_main_process() or not (Path(folder) / RECORD).is_file():
        return
    try:
        logger.info("The report is in '%s'", write_report(Path(folder)))
    except Exception:  # of any kind: the run itself succeeded
        logger.exception("No report of '%s'; tools/write_report.py writes it later", folder)


def report_values(folder: Path) -> dict[str, Any]:
    """What `report.html.j2` shows of a results folder.

    Where a checkpoint was scored, training left its metrics beside the checkpoint.
    """
    record = read_benchmark(folder)
    run, rows = BenchmarkRun.of_record(record), record_rows(record)
    titles = dict(zip(rows.index, row_titles(rows, ""), strict=True))
    details = read_details(folder)
    trained_in = Path(run.weights).parent if run.weights else folder
    metrics = [file for file in (folder / _METRICS, trained_in / _METRICS) if file.is_file()]
    sections = {
        heading: section._replace(table=_numbers_first(section.table))
        for heading, section in benchmark_sections(rows, run).items()
    }
    return {
        "title": _title(run, folder),
        "lead": _lead(rows, run),
        "titles": titles,
        "means": _mean_ious(rows),
        "ious": class_ious(rows).dropna(axis=1, how="all"),
        "per_class": sections.pop(PER_CLASS).table,
        "tables": sections,
        "confusions": _confusions(rows, titles, details),
        "images": dict(list(read_images(folder).groupby("domain")[MEAN_IOU])),
        "pictures": _pictures(folder, details),
        "class_colors": next(filter(None, (d.get("colors") for d in details.values())), {}),
        "curves": _curves(read_metrics(metrics[0]), titles) if metrics else {},
        "given": given_sections(run),
        "conditions": _conditions(run, record),
        "config": config_text(run.config),
        "figures": figures,
    }


def _title(run: BenchmarkRun, folder: Path) -> str:
    """A heading that names the config and the run, the latter by the end of its folder's path."""
    named = f" of {Path(run.config_file).stem}" if run.config_file else ""
    trained_in = Path(run.weights).parent.parts if run.weights else ()
    return f"Benchmark{named}: {'/'.join((trained_in or folder.resolve().parts)[-2:])}"


def _lead(rows: pd.DataFrame, run: BenchmarkRun) -> str:
    """What was trained on, what was tested on, and the main figure."""
    trained = f"Trained on {run.source}. " if run.source else ""
    targets = rows.index[rows["role"] == TARGET]
    if targets.empty:
        return f"{trained}No unseen target was scored."
    counted = f"{len(targets)} unseen target{'s' * (len(targets) > 1)}"
    if other := sum(target in run.sets for target in targets):
        counted += f" ({other} not as published)"
    mean = _mean_ious(rows).get(MEAN, math.nan)
    return f"{trained}Mean IoU over {counted}: {percent(mean)} % (authors' convention)."


def _mean_ious(rows: pd.DataFrame) -> pd.Series:
    return rows.reindex(columns=[MEAN_IOU])[MEAN_IOU]


def _numbers_first(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose words stand behind its numbers, which narrow windows then show."""
    is_word = table.columns.isin(["protocol", "classes"])
    return table.iloc[:, is_word.argsort(kind="stable")]


def _confusions(rows: pd.DataFrame, titles: Titles, details: Details) -> dict[str, pd.DataFrame]:
    """Confusion matrices by title: of several unseen targets together, and of every domain."""
    counts = {
        domain: pd.DataFrame(found["confusion"], index=found["classes"], columns=found["classes"])
        for domain in rows.index
        if "confusion" in (found := details.get(domain, {}))
    }
    targets = [counts[domain] for domain in rows.index[rows["role"] == TARGET] if domain in counts]
    matrices = {titles[domain]: matrix for domain, matrix in counts.items()}
    if len({tuple(matrix.columns) for matrix in targets}) == 1 < len(targets):
        return {"All unseen targets together": sum(targets[1:], targets[0])} | matrices
    return matrices


def _pictures(folder: Path, details: Details) -> dict[str, list[dict[str, Any]]]:
    """The pictures of every domain whose files are there, with their content as "data"."""
    # The name alone: no record leads to files elsewhere.
    found = {
        domain: [p | {"file": folder / _OVERLAYS / Path(p["file"]).name} for p in one["pictures"]]
        for domain, one in details.items()
        if "pictures" in one
    }
    embedded = embedded_pictures((p["file"] for of in found.values() for p in of), PICTURE_BYTES)
    shown = {
        domain: [p | {"data": embedded[p["file"]]} for p in of if p["file"] in embedded]
        for domain, of in found.items()
    }
    return {domain: of for domain, of in shown.items() if of}


def embedded_pictures(files: Iterable[Path], budget: int) -> dict[Path, bytes]:
    """The pictures of some files, all shrunk alike until they fit.

    Args:
        files: any images.
        budget: bytes for all together; the smallest scale is taken where none fits.

    Returns:
        JPEG by file; missing files and those that are not images are left out.
    """
    images: dict[Path, Image] = {}
    for file in files:
        with suppress(ImageFileError):
            images[file] = read_image(file)
    for scale in _SCALES:
        embedded = {file: _shrunk(image, scale) for file, image in images.items()}
        if sum(map(len, embedded.values())) <= budget:
            break
    return embedded


def _shrunk(image: Image, scale: float) -> bytes:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return encode(np.asarray(pixels, np.uint8), quality=_QUALITY)


def _curves(metrics: pd.DataFrame, titles: Titles) -> dict[str, Figure]:
    """Losses, learning rate and mean IoU over the iterations, where training reported them."""
    losses = [name for name in metrics if "loss" in name]
    if len(losses) == 2:  # the only loss, and the same as the total
        losses = ["total_loss"]
    scores = metrics.rename(columns={f"{d}/{MEAN_IOU}": title for d, title in titles.items()})
    several = [title for title in titles.values() if title in scores and scores[title].count() > 1]
    options: dict[str, dict[str, Any]] = {
        "Loss": {"curves": metrics[losses]},
        "Learning rate": {"curves": metrics.filter(["lr"])},
        "Mean IoU, %": {"curves": scores[several], "from_zero": False},
    }
    return {
        title: figures.curves_figure(title, emphasized=titles.get(MEAN, ""), **given)
        for title, given in options.items()
        if not given["curves"].empty
    }


def read_metrics(path: Path) -> pd.DataFrame:
    """Finite numbers that training reported, a column for each name, by iteration.

    What a resumed run did again counts once. Damaged lines are left out with a warning.
    """
    lines: list[dict[str, Any]] = []
    last = -1  # iteration of training
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            iteration = int(line["iteration"])
        except (ValueError, TypeError, KeyError):  # such as the last line of a run that was killed
            logger.warning("a damaged line of '%s' is left out", path)
            continue
        if "total_loss" in line:
            if iteration <= last:
                lines = [earlier for earlier in lines if earlier["iteration"] < iteration]
            last = iteration
        lines.append({name: x for name, x in line.items() if isinstance(x, (int, float))})
    if not lines:
        return pd.DataFrame()
    numbers = pd.DataFrame(lines).set_index("iteration").astype(float)
    finite = numbers.replace([math.inf, -math.inf], math.nan)
    return finite.groupby(level=0).last().dropna(axis=1, how="all")


def _conditions(run: BenchmarkRun, record: Mapping[str, Any]) -> dict[str, str]:
    """Settings, code, libraries and machine, as far as they are recorded."""
    given = {
        "date": run.date,
        "config": run.config_file,
        "source": run.source,
        "protocol": run.protocol,
        "inference": run.inference,
        "weights": run.weights,
        "seed": run.seed,
    }
    if git := record.get("git"):
        given["commit"] = git["commit"] + (", changed" if git["dirty"] else "")
    given |= record.get("versions", {}) | record.get("environment", {})
    return {name: str(value) for name, value in given.items() if value is not None}


def config_text(config: Mapping[str, Any] | str | None) -> str | None:
    """A configuration as YAML; None if there is none."""
    if config is None or isinstance(config, str):
        return config
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
