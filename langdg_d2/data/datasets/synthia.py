"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 rendered views of streets.

Layout: `RGB/0000000.png`, `GT/LABELS/0000000.png` (16-bit colour images whose first channel holds
the ids), and for the splits lists `train.txt` / `val.txt` of file names; in common use are lists of
6,580 and 2,820 images.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import SYNTHIA_LABEL_IDS
from .family import DatasetFamily
from .pairing import pair_files, require_folder, require_images
from .split_lists import read_split_list

DATASET = "SYNTHIA"
WEBSITE = "https://synthia-dataset.net"


def load_synthia(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of SYNTHIA-RAND-CITYSCAPES below `root/synthia`.

    Args:
        root: folder of the data sets.
        split: `all`, or `train` / `val` as told by a list file.

    Raises:
        DatasetError: for missing folders, lists or files.
    """
    folder = root / "synthia"
    images = require_folder(folder / "RGB", dataset=DATASET, website=WEBSITE)
    labels = require_folder(folder / "GT" / "LABELS", dataset=DATASET, website=WEBSITE)
    if split == "all":
        files = require_images(images.glob("*.png"), dataset=DATASET, pattern=f"{images}/*.png")
    else:
        stems = read_split_list(folder / f"{split}.txt", dataset=DATASET)
        files = [images / f"{stem}.png" for stem in stems]

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        return labels / image.name, SYNTHIA_LABEL_IDS

    return pair_files(files, find_label, dataset=DATASET)


FAMILIES = (
    DatasetFamily(
        name="synthia",
        title="SYNTHIA-RAND-CITYSCAPES",
        website=WEBSITE,
        load=load_synthia,
        splits={"train": None, "val": None, "all": 9400},
        condition="clear",
        sizes=frozenset({(760, 1280)}),
    ),
)
