"""Cityscapes (Cordts et al., CVPR 2016): street scenes of 50 cities.

It has 2,975 training, 500 validation and 1,525 test images; the test label files are empty.

Layout: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*`, with label
ids as downloaded or train ids as created by the data set's scripts.
"""

from ...structures import LabelEncoding
from ...structures.label_encoding import CITYSCAPES_LABEL_IDS, TRAIN_IDS
from .family import DatasetFamily, Layout
from .folders import Folders


def ids_or_train_ids(start: str) -> list[tuple[str, LabelEncoding]]:
    """Return patterns of label files: label ids, or train ids if those are missing."""
    ids = (f"{start}_labelIds", CITYSCAPES_LABEL_IDS)
    return [ids, (f"{start}_labelTrainIds", TRAIN_IDS), ids]


def _layouts(folders: Folders, split: str) -> list[Layout]:
    images = f"leftImg8bit/{split}/*/*_leftImg8bit"
    return [Layout(images, ids_or_train_ids(f"gtFine/{split}/*/*_gtFine"))]


FAMILIES = (
    DatasetFamily(
        name="cityscapes",
        title="Cityscapes",
        website="https://www.cityscapes-dataset.com",
        folder="cityscapes",
        layouts=_layouts,
        splits={"train": 2975, "val": 500, "test": 1525},
        condition="clear",
        sizes=frozenset({(1024, 2048)}),
        image_format="PNG",
        unlabeled=frozenset({"test"}),
        # No city is in two splits.
        folders={"val": frozenset({"frankfurt", "lindau", "munster"})},
    ),
)
