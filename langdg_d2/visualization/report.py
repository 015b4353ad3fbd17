"""Report of a benchmark, an HTML page from the files in a results folder."""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

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
from .sem_seg import Image, encode, shrunk

REPORT = "report.html"
PICTURE_BYTES = 1_600_000  # of all pictures; base64 adds a third
_METRICS, _OVERLAYS = "metrics.json", "overlays"
_SCALES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)  # of pictures
_QUALITY = 75  # of JPEG

Titles = Mapping[str, str]  # of domains and means
Details = Mapping[str, Mapping[str, Any]]

logger = logging.getLogger(__name__)


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write a self-contained HTML report.

    Sections whose files are missing are left out. The page depends only on the files.

    Args:
        folder: results of training or evaluation.
        output: path of the page; None for `report.html` in `folder`.

    Returns:
        Path of the page.

    Raises:
        BenchmarkFileError: if the benchmark record is missing or damaged.
    """
    output = output or folder / REPORT
    write_atomically(output, render("report.html.j2", **report_values(folder)))
    return output


def write_report_of_run(folder: str | Path) -> None:
    """Write the report of a finished run in the main process, if there are scores.

    Errors are logged, because the scores are already saved.
    """
    if not comm.is_main_process() or not (Path(folder) / RECORD).is_file():
        return
    try:
        logger.info("Wrote the report '%s'", write_report(Path(folder)))
    except Exception:  # of any type, because the run itself succeeded
        logger.exception("Cannot write the report of '%s'; try tools/write_report.py later", folder)


def report_values(folder: Path) -> dict[str, Any]:
    """Return the values of `report.html.j2` for a results folder."""
    record = read_benchmark(folder)
    run, rows = BenchmarkRun.of_record(record), record_rows(record)
    titles = dict(zip(rows.index, row_titles(rows, ""), strict=True))
    details = read_details(folder)
    trained_in = Path(run.weights).parent if run.weights else folder
    # Training metrics of an evaluated checkpoint are in its folder.
    metrics = trained_in / _METRICS
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
        "curves": _curves(read_metrics(metrics), titles) if metrics.is_file() else {},
        "given": given_sections(run),
        "conditions": _conditions(run, record),
        "config": config_text(run.config),
        "figures": figures,
    }


def _title(run: BenchmarkRun, folder: Path) -> str:
    """Return a heading with the names of the config and of the folder."""
    named = f" of {Path(run.config_file).stem}" if run.config_file else ""
    trained_in = Path(run.weights).parent.parts if run.weights else ()
    return f"Benchmark{named}: {'/'.join((trained_in or folder.resolve().parts)[-2:])}"


def _lead(rows: pd.DataFrame, run: BenchmarkRun) -> str:
    """Describe source, targets and main score in one or two sentences."""
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
    """Move text columns behind numeric ones, so that narrow windows show the numbers."""
    is_word = table.columns.isin(["protocol", "classes"])
    return table.iloc[:, is_word.argsort(kind="stable")]


def _confusions(rows: pd.DataFrame, titles: Titles, details: Details) -> dict[str, pd.DataFrame]:
    """Return confusion matrices by title, of all unseen targets together and of every domain."""
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
    """Return the existing pictures of every domain, with their content as "data"."""
    # Only the name, because a record must not lead to files elsewhere.
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
    """Read pictures and scale all by the same factor until they fit a budget.

    Args:
        files: image files; missing files and other files are left out.
        budget: total bytes; if no scale fits, the smallest is used.

    Returns:
        JPEG by file.
    """
    images: dict[Path, Image] = {}
    for file in files:
        with suppress(ImageFileError):
            images[file] = read_image(file)
    for scale in _SCALES:
        embedded = {
            file: encode(shrunk(image, round(scale * max(image.shape))), quality=_QUALITY)
            for file, image in images.items()
        }
        if sum(map(len, embedded.values())) <= budget:
            break
    return embedded


def _curves(metrics: pd.DataFrame, titles: Titles) -> dict[str, Figure]:
    """Plot losses, learning rate and mIoU over the iterations, as far as they were recorded."""
    losses = [name for name in metrics if "loss" in name]
    if len(losses) == 2:  # the only loss equals the total
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
    """Read the finite numbers that training recorded, with a column per name, by iteration.

    Iterations that a resumed run repeated occur once. Damaged lines are skipped with a warning.
    """
    lines: list[dict[str, Any]] = []
    last = -1  # iteration of training
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            iteration = int(line["iteration"])
        except (ValueError, TypeError, KeyError):  # such as the last line of a killed run
            logger.warning("skipping a damaged line in '%s'", path)
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
    """Return the recorded settings, code state, libraries and machine."""
    known = ("date", "config_file", "source", "protocol", "inference", "weights", "seed")
    given = {name.removesuffix("_file"): getattr(run, name) for name in known}
    if git := record.get("git"):
        given["commit"] = git["commit"] + (", changed" if git["dirty"] else "")
    given |= record.get("versions", {}) | record.get("environment", {})
    return {name: str(value) for name, value in given.items() if value is not None}


def config_text(config: Mapping[str, Any] | str | None) -> str | None:
    """Format a config as YAML; None without a config."""
    if config is None or isinstance(config, str):
        return config
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
