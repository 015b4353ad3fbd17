"""Cityscapes (Cordts et al., CVPR 2016): 2,975 training and 500 validation images of 50 cities.

And 1,525 test images, whose labels are not public: the files of that split hold none.

Layout: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*`, label ids as
downloaded or train ids as made by the data set's own scripts.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import CITYSCAPES_LABEL_IDS, TRAIN_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import image_records, pair_files

DATASET = "Cityscapes"
WEBSITE = "https://www.cityscapes-dataset.com"
_UNLABELED = frozenset({"test"})
_END = "_leftImg8bit"


def load_cityscapes(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of Cityscapes below `root/cityscapes`.

    Raises:
        DatasetError: for missing folders or files.
    """
    folder = root / "cityscapes"
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(folder / "leftImg8bit" / split)
    files = folders.images_below(images, end=_END)
    if split in _UNLABELED:
        return image_records(files)
    labels = folders.require(folder / "gtFine" / split)

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = f"{image.stem.removesuffix(_END)}_gtFine"
        return ids_or_train_ids(folders, labels / image.parent.name, stem)

    return pair_files(files, find_label, dataset=DATASET)


def ids_or_train_ids(folders: Folders, folder: Path, stem: str) -> tuple[Path, LabelEncoding]:
    """The label file `<stem>_labelIds.png`, or `<stem>_labelTrainIds.png` where that is missing."""
    ids, train_ids = f"{stem}_labelIds", f"{stem}_labelTrainIds"
    label = folders.label(folder, ids, train_ids, ids)
    return label, TRAIN_IDS if label.stem == train_ids else CITYSCAPES_LABEL_IDS


FAMILIES = (
    DatasetFamily(
        name="cityscapes",
        title=DATASET,
        website=WEBSITE,
        load=load_cityscapes,
        splits={"train": 2975, "val": 500, "test": 1525},
        condition="clear",
        sizes=frozenset({(1024, 2048)}),
        image_format="PNG",
        unlabeled=_UNLABELED,
        # No city is in two splits.
        folders={"val": frozenset({"frankfurt", "lindau", "munster"})},
    ),
)
