"""Mapillary Vistas v1.2 (Neuhold et al., ICCV 2017): 18,000 training and 2,000 validation images.

Layout: `{training,validation}/images/*.jpg` and `labels/*.png` (palette images of ids 0..65) with
the class list `config.json`; or, if downloaded together with v2.0, `v1.2/labels/*.png` and
`config_v1.2.json`. Version 2.0 has 124 other classes, so the class list is checked.

Two maps to the 19 classes are in use: `mapillary` is that of RobustNet and FAMix, `mapillary_b`
that of Rein and SoMA.
"""

import json
from functools import partial
from itertools import zip_longest
from pathlib import Path

from ...structures import LabelEncoding
from ...structures.label_encoding import MAPILLARY_A, MAPILLARY_B
from .family import DatasetFamily, Layout
from .folders import DatasetError, Folders
from .split_lists import read_text

_WEBSITE = "https://www.mapillary.com/dataset/vistas"
_FOLDERS = {"train": "training", "val": "validation"}
_CLASSES = [MAPILLARY_A.raw_names[raw] for raw in sorted(MAPILLARY_A.raw_names)]
_REMEDY = (
    f"Use version 1.2: the archive of v2.0 holds its labels too, as '<split>/v1.2/labels' beside "
    f"'config_v1.2.json'; {_WEBSITE}"
)


def _layouts(folders: Folders, split: str, *, encoding: LabelEncoding) -> list[Layout]:
    folder = _FOLDERS[split]
    folders.require(f"{folder}/images")
    labels = _labels_of_v1_2(folders, folder)
    return [Layout(f"{folder}/images/*", [(f"{labels}/*", encoding)])]


def _labels_of_v1_2(folders: Folders, folder: str) -> str:
    """Return the folder of labels that are certainly of version 1.2."""
    split_folder = folders.root / folder
    if (split_folder / "v1.2" / "labels").is_dir():
        _require_v1_2(_config_files(folders.root, "config_v1.2.json", "config.json")[0])
        return f"{folder}/v1.2/labels"
    if (split_folder / "v2.0").is_dir() and not (split_folder / "labels").is_dir():
        raise DatasetError(
            f"Mapillary Vistas: '{split_folder}' holds labels of v2.0 only, whose ids mean other "
            f"classes. {_REMEDY}"
        )
    folders.require(f"{folder}/labels")
    # It is unknown which of several config files belongs to the labels, so all must be v1.2.
    names = ("config.json", "config_v1.2.json", "config_v2.0.json")
    for config_file in _config_files(folders.root, *names):
        _require_v1_2(config_file)
    return f"{folder}/labels"


def _config_files(folder: Path, *names: str) -> list[Path]:
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise DatasetError(
            f"Mapillary Vistas: '{folder}' has no {' or '.join(names)}, which names the version of "
            f"the labels. Copy it there from the download ({_WEBSITE})"
        )
    return found


def _require_v1_2(config_file: Path) -> None:
    try:
        config = json.loads(read_text(config_file))
        names = [label["name"] for label in config["labels"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"'{config_file}' is not a class list of Mapillary Vistas ({error!r}), expected JSON "
            f"with the name of every label. Copy it again from {_WEBSITE}"
        ) from error
    for k, (theirs, ours) in enumerate(zip_longest(names, _CLASSES, fillvalue="no class")):
        if theirs != ours:
            raise DatasetError(
                f"Mapillary Vistas: '{config_file}' lists {len(names)} classes of version "
                f"{config.get('version')}, expected the {len(_CLASSES)} of v1.2; id {k} is "
                f"'{theirs}', expected '{ours}'. {_REMEDY}"
            )


FAMILIES = tuple(
    DatasetFamily(
        name=name,
        title=title,
        website=_WEBSITE,
        folder="mapillary",
        layouts=partial(_layouts, encoding=encoding),
        splits={"train": 18_000, "val": 2000},
        condition="all",
        sizes=None,
        image_format="JPEG",
        # About nine megapixels on average, according to the paper.
        least_pixels=4_000_000,
        has_many_sizes=True,
        same_images_as=None if name == "mapillary" else "mapillary",
    )
    for name, title, encoding in (
        ("mapillary", "Mapillary Vistas v1.2, map A", MAPILLARY_A),
        ("mapillary_b", "Mapillary Vistas v1.2, map B", MAPILLARY_B),
    )
)
