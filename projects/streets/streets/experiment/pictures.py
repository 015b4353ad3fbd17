"""A sheet of predictions: a column for each unseen look, a row for each cell."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data.dataset_mapper import read_pair
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization import palette_named, title_strip
from streets.experiment.results import CellResult

Picture = npt.NDArray[np.uint8]

GAP = 4  # pixels between pictures
CAPTION_WIDTH = 230
TITLE_HEIGHT = 26
_PALETTE = palette_named("classes", CITYSCAPES_19)


def prediction_sheet(
    results: Sequence[CellResult],
    *,
    datasets: dict[str, str],
    scene: int,
    size: tuple[int, int],
) -> Picture:
    """Images, their labels and what the first seed of every cell makes of them.

    Args:
        results: cells that have been scored, with their predictions as train ids.
        datasets: registered names by the titles of the columns.
        scene: which of a data set's scenes is shown, from 0.
        size: (height, width) of every picture.

    Returns:
        (H, W, 3) uint8 RGB: a strip of titles, then a row of pictures for the images, one for the
        labels and one for each cell; captions at the left.
    """
    records = {title: DatasetCatalog.get(name)[scene] for title, name in datasets.items()}
    pairs = [read_pair(record) for record in records.values()]
    rows = {
        "image": [_shrink(image, size) for image, _ in pairs],
        "labels": [_shrink(_PALETTE.paint_classes(label), size) for _, label in pairs],
    }
    for result in results:
        folder = next(iter(result.runs.values())).scores / "predictions"
        rows[result.cell.title] = [
            _shrink(_PALETTE.paint_classes(_prediction(folder / name, record["file_name"])), size)
            for name, record in zip(datasets.values(), records.values(), strict=True)
        ]
    height, width = size
    corner = title_strip("", width=CAPTION_WIDTH, height=TITLE_HEIGHT)
    titles = [_with_gap(title_strip(title, width=width, height=TITLE_HEIGHT)) for title in datasets]
    lines = [np.hstack([corner, *titles])]
    for caption, pictures in rows.items():
        strip = title_strip(caption, width=CAPTION_WIDTH, height=TITLE_HEIGHT)
        empty = np.full((height - TITLE_HEIGHT, *strip.shape[1:]), 255, np.uint8)
        line = np.hstack([np.vstack([strip, empty]), *map(_with_gap, pictures)])
        lines += [line, np.full((GAP, *line.shape[1:]), 255, np.uint8)]
    return np.vstack(lines[:-1])


def _prediction(folder: Path, image_file: str) -> Picture:
    """Train ids that were predicted of an image."""
    name = f"{Path(image_file).stem}.png"
    found = next(folder.rglob(name), None)
    if found is None:
        raise FileNotFoundError(f"no prediction '{name}' below '{folder}'; score the run again")
    return np.asarray(Image.open(found), dtype=np.uint8)


def _shrink(picture: Picture, size: tuple[int, int]) -> Picture:
    height, width = size
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _with_gap(picture: Picture) -> Picture:
    return np.pad(picture, ((0, 0), (GAP, 0), (0, 0)), constant_values=255)
