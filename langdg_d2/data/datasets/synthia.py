"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 rendered views of streets.

Layout: `RGB/0000000.png`, `GT/LABELS/0000000.png` (16-bit colour images whose first channel holds
the ids), and for the splits lists `train.txt` / `val.txt` of file names; in common use are lists of
6,580 and 2,820 images. Or both folders are divided into `train` and `val`, as RobustNet and FAMix
have them; then there are no lists.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import SYNTHIA_LABEL_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import DatasetError, pair_files
from .split_lists import read_split_list

DATASET = "SYNTHIA"
WEBSITE = "https://synthia-dataset.net"

_DIVIDED = ("train", "val")


def load_synthia(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of SYNTHIA-RAND-CITYSCAPES below `root/synthia`.

    Args:
        root: folder of the data sets.
        split: `all`, or `train` / `val` as a folder or a list file says.

    Raises:
        DatasetError: for missing folders, lists or files, and where several places leave open
            which images count.
    """
    folder = root / "synthia"
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(folder / "RGB")
    labels = folders.require(folder / "GT" / "LABELS")
    places = [p for p in (images, *(images / s for s in _DIVIDED)) if folders.images(p)]
    if images in places and len(places) > 1:
        raise _unclear(places, "hold images")
    list_file = folder / f"{split}.txt"
    if split == "all":
        found = sorted(file for place in places for file in folders.images(place))
        files = folders.require_images(found, pattern=f"{images}/*.png")
    elif images / split in places:
        if list_file.exists():
            raise _unclear([images / split, list_file], f"define the split '{split}'")
        files = folders.images(images / split)
    else:
        stems = read_split_list(list_file, dataset=DATASET)
        files = [folders.image(images, stem) for stem in stems]

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        folder = labels / image.parent.relative_to(images)
        return folders.label(folder, image.stem), SYNTHIA_LABEL_IDS

    return pair_files(files, find_label, dataset=DATASET)


def _unclear(places: list[Path], do_what: str) -> DatasetError:
    listed = ", ".join(f"'{place}'" for place in places)
    return DatasetError(
        f"{DATASET}: {listed} all {do_what}. Keep one layout and move the rest away"
    )


FAMILIES = (
    DatasetFamily(
        name="synthia",
        title="SYNTHIA-RAND-CITYSCAPES",
        website=WEBSITE,
        load=load_synthia,
        splits={"train": None, "val": None, "all": 9400},
        condition="clear",
        sizes=frozenset({(760, 1280)}),
        image_format="PNG",
    ),
)
