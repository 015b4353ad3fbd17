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
from ..evaluation import BenchmarkRun, read_benchmark, read_details, read_images
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
    record_rows,
    row_titles,
)
from ..utils.file_io import write_atomically
from .figures import (
    BLUE,
    ORANGE,
    SMALL_SHARE,
    bars_figure,
    curves_figure,
    histogram_figure,
    matrix_figure,
    rgb,
    row_shares,
)
from .page import render
from .sem_seg import Image, encode

REPORT = "report.html"
PICTURE_BYTES = 1_600_000  # of all pictures; a third more in the page
_METRICS, _OVERLAYS = "metrics.json", "overlays"
_WORDS = ("protocol", "classes")  # columns of tables
_CONFUSIONS = 8  # listed beside a matrix
_KINDS = {"Worst": "worst", "Best": "best"}  # of pictures, by heading
_SCALES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)  # of pictures
_QUALITY = 75  # of JPEG
# Libyaml's, where there is one: several times as fast as the one in Python.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Details = Mapping[str, Mapping[str, Any]]
Titles = Mapping[str, str]  # how the page calls domains and means

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
    trained_in = Path(run.weights).parent if run.weights else folder
    details = read_details(folder)
    sections = benchmark_sections(rows, run)
    per_class = sections.pop(PER_CLASS).table
    return {
        "title": _title(run, folder),
        "lead": _lead(rows, run),
        "means": bars_figure("Mean IoU, %", _mean_ious(rows).rename(titles)),
        "tables": {
            heading: section._replace(table=_numbers_first(section.table))
            for heading, section in sections.items()
        },
        "bars": _bars(rows, titles),
        "per_class": _numbers_first(per_class),
        "confusions": _confusions(rows, titles, details),
        "images": _images(folder, titles, details),
        "class_colors": next(filter(None, (d.get("colors") for d in details.values())), {}),
        "curves": _curves(folder, trained_in, titles),
        "sections": given_sections(run),
        "conditions": _conditions(run, record),
        "config": config_text(run.config),
        "blue": rgb(BLUE),
        "orange": rgb(ORANGE),
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
    names = list(table.columns)  # there may be doubles
    return table.iloc[:, sorted(range(len(names)), key=lambda k: names[k] in _WORDS)]


def _bars(rows: pd.DataFrame, titles: Titles) -> list[dict[str, Any]]:
    ious, means = class_ious(rows).dropna(axis=1, how="all"), _mean_ious(rows)
    return [
        {
            "title": titles[domain],
            "figure": bars_figure(
                titles[domain],
                ious[domain],
                mean=means[domain],
                reference=None if domain == MEAN else ious.get(MEAN),
            ),
        }
        for domain in ious
    ]


def _confusions(rows: pd.DataFrame, titles: Titles, details: Details) -> list[dict[str, Any]]:
    """Matrices of the unseen targets together, where there are several, and of every domain."""
    counts = {
        domain: pd.DataFrame(found["confusion"], index=found["classes"], columns=found["classes"])
        for domain in titles
        if "confusion" in (found := details.get(domain, {}))
    }
    targets = [counts[d] for d in rows.index[rows["role"] == TARGET] if d in counts]
    shown = [(titles[domain], matrix, len(counts) > 1) for domain, matrix in counts.items()]
    if len(targets) > 1 and all(matrix.columns.equals(targets[0].columns) for matrix in targets):
        together = sum(targets[1:], targets[0])
        shown.insert(0, ("All unseen targets together", together, False))
    return [
        {
            "title": title,
            "matrix": matrix_figure(matrix),
            "largest": largest_confusions(matrix, _CONFUSIONS),
            "folded": folded,
        }
        for title, matrix, folded in shown
    ]


def largest_confusions(counts: pd.DataFrame, limit: int) -> pd.DataFrame:
    """The confusions with the largest shares of their true class, the largest first.

    Args:
        counts: pixels by true class (row) and predicted class (column).
        limit: how many at most; shares below a per mille are left out.
    """
    shares = row_shares(counts).to_numpy().copy()
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:limit]
    truth, prediction = np.unravel_index(order[shares.flat[order] >= SMALL_SHARE], shares.shape)
    return pd.DataFrame(
        {
            "true class": counts.index[truth],
            "predicted as": counts.columns[prediction],
            "share": [f"{share:.1%}" for share in shares[truth, prediction]],
            "pixels": counts.to_numpy()[truth, prediction],
        }
    )


def _images(folder: Path, titles: Titles, details: Details) -> list[dict[str, Any]]:
    """Of every domain the spread of its images' scores, and its worst and best images."""
    scores = read_images(folder)
    pictures = {domain: list(details.get(domain, {}).get("pictures", ())) for domain in titles}
    # The name alone: no record leads to files elsewhere.
    files = (folder / _OVERLAYS / Path(p["file"]).name for of in pictures.values() for p in of)
    embedded = embedded_pictures(files, PICTURE_BYTES)
    found = []
    for domain, title in titles.items():
        values = scores.loc[scores["domain"] == domain, MEAN_IOU]
        shown = [p for p in pictures[domain] if Path(p["file"]).name in embedded]
        kinds = {
            heading: [_picture(p, embedded) for p in shown if p["kind"] == kind]
            for heading, kind in _KINDS.items()
        }
        part = {"title": title, "kinds": kinds, "spread": _spread(values), "histogram": None}
        if len(values):
            part["histogram"] = histogram_figure(values)
        if len(values) or shown:
            found.append(part)
    return found


def _picture(picture: Mapping[str, Any], embedded: Mapping[str, bytes]) -> dict[str, Any]:
    scores = (percent(picture[key]) for key in ("mIoU", "pixel_accuracy"))
    return {
        "data": embedded[Path(picture["file"]).name],
        "alt": f"{picture['kind']} prediction: {picture['image']}",
        "caption": "{}: mIoU {}, pixel accuracy {}".format(picture["image"], *scores),
    }


def _spread(values: pd.Series) -> str:
    """The spread of the images' mean IoU in words."""
    if values.isna().all():
        return f"{len(values)} images, none with a mean IoU."
    low, median, high = map(percent, (values.min(), values.median(), values.max()))
    return f"{len(values)} images: median mIoU {median}, lowest {low}, highest {high}."


def embedded_pictures(files: Iterable[Path], budget: int) -> dict[str, bytes]:
    """The pictures of some files, all shrunk alike until they fit.

    Args:
        files: of distinct names.
        budget: bytes for all together; the smallest scale is taken where none fits.

    Returns:
        JPEG by name of the file; missing files and those that are not images are left out.
    """
    images: dict[str, Image] = {}
    for file in files:
        with suppress(ImageFileError):
            images[file.name] = read_image(file)
    for scale in _SCALES:
        embedded = {name: _shrunk(image, scale) for name, image in images.items()}
        if sum(map(len, embedded.values())) <= budget:
            break
    return embedded


def _shrunk(image: Image, scale: float) -> bytes:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return encode(np.asarray(pixels, np.uint8), quality=_QUALITY)


def _curves(folder: Path, trained_in: Path, titles: Titles) -> dict[str, Figure]:
    """Losses, learning rate and mean IoU over the iterations, where training reported them."""
    places = (folder / _METRICS, trained_in / _METRICS)
    metrics = next((read_metrics(file) for file in places if file.is_file()), pd.DataFrame())
    curves = {}
    losses = [name for name in metrics if "loss" in name]
    if len(losses) == 2:  # the only loss, and the same as the total
        losses = ["total_loss"]
    if losses:
        curves["Loss"] = curves_figure("Loss", metrics[losses])
    if "lr" in metrics:
        curves["Learning rate"] = curves_figure("Learning rate", metrics[["lr"]])
    scores = metrics.rename(columns={f"{d}/{MEAN_IOU}": title for d, title in titles.items()})
    several = [title for title in titles.values() if title in scores and scores[title].count() > 1]
    if several:
        options: dict[str, Any] = {"from_zero": False, "emphasized": titles.get(MEAN, "")}
        curves["Mean IoU, %"] = curves_figure("Mean IoU, %", scores[several], **options)
    return curves


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
        lines.append(line)
    if not lines:
        return pd.DataFrame()
    numbers = pd.DataFrame(lines).set_index("iteration").apply(pd.to_numeric, errors="coerce")
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
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}
    try:
        return str(yaml.dump(config, Dumper=_Dumper, **options))
    except UnicodeEncodeError:  # libyaml does not write names that were not UTF-8
        return str(yaml.safe_dump(config, **options))
