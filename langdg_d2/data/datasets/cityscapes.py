"""Cityscapes (Cordts et al., CVPR 2016): 2,975 training and 500 validation images of 50 cities.

Layout: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*`, label ids as
downloaded or train ids as made by the data set's own scripts.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import CITYSCAPES_LABEL_IDS, TRAIN_IDS
from .family import DatasetFamily
from .pairing import pair_files, require_folder, require_images

DATASET = "Cityscapes"
WEBSITE = "https://www.cityscapes-dataset.com"


def load_cityscapes(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of Cityscapes below `root/cityscapes`.

    Raises:
        DatasetError: for missing folders or files.
    """
    folder = root / "cityscapes"
    images = require_folder(folder / "leftImg8bit" / split, dataset=DATASET, website=WEBSITE)
    labels = require_folder(folder / "gtFine" / split, dataset=DATASET, website=WEBSITE)
    pattern = "*/*_leftImg8bit.png"
    files = require_images(images.glob(pattern), dataset=DATASET, pattern=f"{images}/{pattern}")

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = labels / image.parent.name / image.name.replace("_leftImg8bit.png", "_gtFine")
        return ids_or_train_ids(stem)

    return pair_files(files, find_label, dataset=DATASET)


def ids_or_train_ids(stem: Path) -> tuple[Path, LabelEncoding]:
    """The label file `<stem>_labelIds.png`, or `<stem>_labelTrainIds.png` where that is missing."""
    label_ids = stem.with_name(f"{stem.name}_labelIds.png")
    train_ids = stem.with_name(f"{stem.name}_labelTrainIds.png")
    if train_ids.is_file() and not label_ids.is_file():
        return train_ids, TRAIN_IDS
    return label_ids, CITYSCAPES_LABEL_IDS


FAMILIES = (
    DatasetFamily(
        name="cityscapes",
        title=DATASET,
        website=WEBSITE,
        load=load_cityscapes,
        splits={"train": 2975, "val": 500},
        condition="clear",
        sizes=frozenset({(1024, 2048)}),
    ),
)
