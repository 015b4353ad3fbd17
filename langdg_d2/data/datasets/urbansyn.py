"""UrbanSyn (Gómez et al., 2023): 7,539 rendered frames, labelled with the 19 Cityscapes classes.

Layout: `rgb/rgb_0001.png` and `ss/ss_0001.png` (grey images of train ids, 19 where nothing is
labelled). The data set has no splits.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import URBANSYN_TRAIN_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import pair_files

DATASET = "UrbanSyn"
WEBSITE = "https://www.urbansyn.org"


def load_urbansyn(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of UrbanSyn below `root/urbansyn`; the only `split` is `all`.

    Raises:
        DatasetError: for missing folders or files.
    """
    folder = root / "urbansyn"
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(folder / "rgb")
    labels = folders.require(folder / "ss")
    files = folders.require_images(
        folders.images(images, start="rgb_"), pattern=f"{images}/rgb_*.png"
    )

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        return folders.label(labels, f"ss_{image.stem.removeprefix('rgb_')}"), URBANSYN_TRAIN_IDS

    return pair_files(files, find_label, dataset=DATASET)


FAMILIES = (
    DatasetFamily(
        name="urbansyn",
        title=DATASET,
        website=WEBSITE,
        load=load_urbansyn,
        splits={"all": 7539},
        condition="clear",
        sizes=frozenset({(1024, 2048)}),
        image_format="PNG",
    ),
)
