"""Mapillary Vistas v1.2 (Neuhold et al., ICCV 2017): 18,000 and 2,000 images of all sizes.

Layout: `{training,validation}/images/*.jpg` and `labels/*.png` (palette images of ids 0..65) with
the class list `config.json`; or, as downloaded together with v2.0, `v1.2/labels/*.png` and
`config_v1.2.json`. Version 2.0 numbers 124 other classes, so a copy must prove to be v1.2.

Two maps onto the 19 classes are in use: `mapillary` is that of RobustNet and FAMix, `mapillary_b`
that of Rein and SoMA.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import MAPILLARY_A, MAPILLARY_B
from .family import DatasetFamily
from .folders import Folders
from .pairing import DatasetError, pair_files
from .split_lists import read_text

DATASET = "Mapillary Vistas"
WEBSITE = "https://www.mapillary.com/dataset/vistas"

_FOLDERS = {"train": "training", "val": "validation"}
_CLASSES = [MAPILLARY_A.raw_names[raw] for raw in sorted(MAPILLARY_A.raw_names)]
_REMEDY = (
    f"Use version 1.2: the archive of v2.0 holds its labels too, as '<split>/v1.2/labels' beside "
    f"'config_v1.2.json'; {WEBSITE}"
)


def load_mapillary(root: Path, split: str, *, encoding: LabelEncoding) -> list[dict[str, Any]]:
    """Dataset dicts of Mapillary Vistas v1.2 below `root/mapillary`.

    Args:
        root: folder of the data sets.
        split: `train` or `val`.
        encoding: one of the maps of v1.2.

    Raises:
        DatasetError: for missing folders or files, and for labels of another version.
    """
    folder = root / "mapillary"
    split_folder = folder / _FOLDERS[split]
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(split_folder / "images")
    labels = _labels_of_v1_2(folder, split_folder, folders)
    files = folders.require_images(folders.images(images), pattern=f"{images}/*.jpg")

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        return folders.label(labels, image.stem), encoding

    return pair_files(files, find_label, dataset=DATASET)


def _labels_of_v1_2(folder: Path, split_folder: Path, folders: Folders) -> Path:
    """The folder of labels that are of version 1.2 for certain."""
    versioned, plain = split_folder / "v1.2" / "labels", split_folder / "labels"
    if versioned.is_dir():
        _require_v1_2(_config_files(folder, "config_v1.2.json", "config.json")[0])
        return versioned
    if (split_folder / "v2.0").is_dir() and not plain.is_dir():
        raise DatasetError(
            f"{DATASET}: '{split_folder}' holds labels of v2.0 only, whose ids mean other classes. "
            f"{_REMEDY}",
            path=split_folder / "v2.0",
        )
    folders.require(plain)
    # Nothing says which of several config files such labels belong to.
    for config_file in _config_files(folder, "config.json", "config_v1.2.json", "config_v2.0.json"):
        _require_v1_2(config_file)
    return plain


def _config_files(folder: Path, *names: str) -> list[Path]:
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise DatasetError(
            f"{DATASET}: '{folder}' has no {' or '.join(names)}, which names the version of the "
            f"labels. Copy it there from the download ({WEBSITE})",
            path=folder / names[0],
        )
    return found


def _require_v1_2(config_file: Path) -> None:
    try:
        config = json.loads(read_text(config_file))
        names = [label["name"] for label in config["labels"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{DATASET}: '{config_file}' is not a class list of Mapillary Vistas ({error!r}), "
            f"expected JSON with the name of every label. Copy it again from {WEBSITE}",
            path=config_file,
        ) from error
    if names != _CLASSES:
        k = next(
            (k for k, name in enumerate(_CLASSES) if names[k : k + 1] != [name]), len(_CLASSES)
        )
        raise DatasetError(
            f"{DATASET}: '{config_file}' lists {len(names)} classes of version "
            f"{config.get('version')}, expected the {len(_CLASSES)} of v1.2; id {k} is "
            f"{_name(names, k)}, expected {_name(_CLASSES, k)}. {_REMEDY}",
            path=config_file,
        )


def _name(names: list[str], k: int) -> str:
    return f"'{names[k]}'" if k < len(names) else "no class"


FAMILIES = tuple(
    DatasetFamily(
        name=name,
        title=title,
        website=WEBSITE,
        load=partial(load_mapillary, encoding=encoding),
        splits={"train": 18_000, "val": 2000},
        condition="all",
        sizes=None,
        image_format="JPEG",
        # Full HD at least, says the paper; a few images of the release are smaller.
        least_pixels=768 * 1024,
        has_many_sizes=True,
        same_images_as=None if name == "mapillary" else "mapillary",
    )
    for name, title, encoding in (
        ("mapillary", f"{DATASET} v1.2, map A", MAPILLARY_A),
        ("mapillary_b", f"{DATASET} v1.2, map B", MAPILLARY_B),
    )
)
