"""Pictures of the labels of a data set, to look at before training on them."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog

from ..data import ImageFileError
from ..data.dataset_mapper import read_pair
from .sem_seg import draw_sem_seg, legend, side_by_side, stacked, write_png

LEGEND_HEIGHT = 24  # pixels at least, of a row


def write_label_overlays(
    records: Sequence[dict[str, Any]],
    *,
    dataset_name: str,
    folder: Path,
    count: int,
    seed: int,
) -> None:
    """Write images beside their labels laid over them, with a legend, for readable pairs.

    Args:
        records: dataset dicts; those whose files cannot be read are left out.
        dataset_name: whose metadata gives names and colours; begins the file names.
        folder: of the PNG files, made if need be.
        count: how many to write at most.
        seed: of the random choice.

    Raises:
        OSError: if a file cannot be written.
    """
    metadata = MetadataCatalog.get(dataset_name)
    written = 0
    for record in random.Random(seed).sample(records, len(records)):
        if written == count:
            return
        try:
            image, label = read_pair(record)
        except ImageFileError:
            continue
        panels = {record["image_id"]: image, dataset_name: draw_sem_seg(image, label, metadata)}
        picture = side_by_side(panels)
        present = np.unique(label).tolist()
        row_height = max(LEGEND_HEIGHT, len(image) // 30)
        names = legend(present, metadata, width=picture.shape[1], row_height=row_height)
        path = folder / f"{dataset_name}_{record['image_id']}.png"
        write_png(path, stacked([picture, names]))
        written += 1
