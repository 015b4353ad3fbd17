"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 rendered views of streets.

Layout: `RGB/0000000.png`, `GT/LABELS/0000000.png` (16-bit colour images whose first channel
contains the ids), and lists of file names `train.txt` / `val.txt` for the splits. Alternatively,
both folders are divided into `train` and `val`, as in RobustNet and FAMix, without lists. The
common split has 6,580 training and 2,820 validation images.
"""

from collections.abc import Sequence
from pathlib import Path

from ...structures.label_encoding import SYNTHIA_LABEL_IDS
from .family import DatasetFamily, Layout
from .folders import DatasetError, Folders
from .split_lists import read_split_list

_DIVIDED = ("train/", "val/")


def _layouts(folders: Folders, split: str) -> list[Layout]:
    images = folders.require("RGB")
    list_file = folders.root / f"{split}.txt"
    places = [place for place in ("", *_DIVIDED) if folders.matching(f"RGB/{place}*")]
    if "" in places and len(places) > 1:
        raise _unclear([images / place for place in places], "hold images")
    if split == "all":
        divided = [place for place in _DIVIDED if (images / place).is_dir()]
        return [_layout(place) for place in ([""] if "" in places else divided or [""])]
    if f"{split}/" in places:
        if list_file.exists():
            raise _unclear([images / split, list_file], f"define the split '{split}'")
        return [_layout(f"{split}/")]
    return [_layout("", read_split_list(list_file, dataset="SYNTHIA"))]


def _layout(place: str, stems: Sequence[str] | None = None) -> Layout:
    return Layout(f"RGB/{place}*", [(f"GT/LABELS/{place}*", SYNTHIA_LABEL_IDS)], stems)


def _unclear(places: list[Path], do_what: str) -> DatasetError:
    listed = ", ".join(f"'{place}'" for place in places)
    return DatasetError(f"SYNTHIA: {listed} all {do_what}. Keep one layout and move the rest away")


FAMILIES = (
    DatasetFamily(
        name="synthia",
        title="SYNTHIA-RAND-CITYSCAPES",
        website="https://synthia-dataset.net",
        folder="synthia",
        layouts=_layouts,
        splits={"train": 6580, "val": 2820, "all": 9400},
        condition="clear",
        sizes=frozenset({(760, 1280)}),
        image_format="PNG",
    ),
)
