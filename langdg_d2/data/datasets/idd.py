"""IDD, India Driving Dataset (Varma et al., WACV 2019), segmentation part I.

Layout: `leftImg8bit/<split>/<drive>/*_leftImg8bit.png` and, drawn from the polygons of the
download by the authors' tool, `gtFine/<split>/<drive>/*_gtFine_labelcsTrainIds.png`.

The other label files that the tool can draw do not serve: level 3 ids join animals with persons,
and trains with caravans and trailers; its Cityscapes ids changed between versions. Images of
part II are JPEG files, which are passed over.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import TRAIN_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import pair_files

DATASET = "IDD"
WEBSITE = "https://idd.insaan.iiit.ac.in"
_TOOL = "https://github.com/AutoNUE/public-code"
_END = "_leftImg8bit"
_LABEL = "_gtFine_labelcsTrainIds"


def load_idd(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of IDD below `root/idd`.

    Raises:
        DatasetError: for missing folders or files, such as labels that are not drawn yet.
    """
    folder = root / "idd"
    folders = Folders(dataset=DATASET, website=WEBSITE, image_suffixes={".png"})
    images = folders.require(folder / "leftImg8bit" / split)
    labels = folders.require(folder / "gtFine" / split)
    files = folders.images_below(images, end=_END)

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = f"{image.stem.removesuffix(_END)}{_LABEL}"
        return folders.label(labels / image.parent.name, stem), TRAIN_IDS

    def image_id(image: Path) -> str:  # drives reuse each other's file names
        return f"{image.parent.name}_{image.stem}"

    return pair_files(
        files,
        find_label,
        dataset=DATASET,
        remedy=f"the download holds polygons: draw the labels with the authors' tool ({_TOOL}), "
        f"python preperation/createLabels.py --datadir {folder} --id-type csTrainId",
        image_id=image_id,
    )


FAMILIES = (
    DatasetFamily(
        name="idd",
        title=DATASET,
        website=WEBSITE,
        load=load_idd,
        splits={"train": 6993, "val": 981},
        condition="clear",
        sizes=None,
        # 1080p, says the paper, and some images of 720p.
        least_pixels=720 * 1280,
    ),
)
