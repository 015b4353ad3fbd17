"""ACDC (Sakaridis et al., ICCV 2021): adverse conditions, 106 night and 100 each other val images.

And 500 test images of each condition, whose labels are not public.

Layout: `rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png` and
`gt/<condition>/<split>/<sequence>/*_gt_label{TrainIds,Ids}.png`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from .cityscapes import ids_or_train_ids
from .family import DatasetFamily
from .folders import Folders
from .pairing import image_records, pair_files

DATASET = "ACDC"
WEBSITE = "https://acdc.vision.ee.ethz.ch"
CONDITIONS = ("fog", "night", "rain", "snow")
# Number of images: of every condition 400 to train and 500 to test, and of night 106 to validate.
_SPLITS = {"train": 400, "val": 100, "test": 500}
_NIGHT_SPLITS = _SPLITS | {"val": 106}
_UNLABELED = frozenset({"test"})
_END = "_rgb_anon"


def load_acdc(root: Path, split: str, *, condition: str) -> list[dict[str, Any]]:
    """Dataset dicts of one condition of ACDC below `root/acdc`.

    Raises:
        DatasetError: for missing folders or files.
    """
    return _load(root, split, (condition,), f"{DATASET} {condition}", lambda image: image.stem)


def load_all_conditions(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of the four conditions, their ids preceded by the condition.

    Raises:
        DatasetError: for missing folders or files.
    """
    images = root / "acdc" / "rgb_anon"
    return _load(
        root,
        split,
        CONDITIONS,
        DATASET,
        lambda image: f"{image.relative_to(images).parts[0]}_{image.stem}",
    )


def _load(
    root: Path,
    split: str,
    conditions: tuple[str, ...],
    name: str,
    image_id: Callable[[Path], str],
) -> list[dict[str, Any]]:
    images, labels = root / "acdc" / "rgb_anon", root / "acdc" / "gt"
    files: list[Path] = []
    folders = Folders(dataset=name, website=WEBSITE)
    for condition in conditions:
        folder = folders.require(images / condition / split)
        if split not in _UNLABELED:
            folders.require(labels / condition / split)
        files += folders.images_below(folder, end=_END)
    if split in _UNLABELED:
        return image_records(files, image_id=image_id)

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = f"{image.stem.removesuffix(_END)}_gt"
        return ids_or_train_ids(folders, labels / image.parent.relative_to(images), stem)

    return pair_files(files, find_label, dataset=name, image_id=image_id)


_SIZES = frozenset({(1080, 1920)})
_BY_CONDITION = tuple(
    DatasetFamily(
        name=f"acdc_{condition}",
        title=f"{DATASET} {condition}",
        website=WEBSITE,
        load=partial(load_acdc, condition=condition),
        splits=_NIGHT_SPLITS if condition == "night" else _SPLITS,
        condition=condition,
        sizes=_SIZES,
        image_format="PNG",
        unlabeled=_UNLABELED,
    )
    for condition in CONDITIONS
)
FAMILIES = (
    *_BY_CONDITION,
    DatasetFamily(
        name="acdc",
        title=DATASET,
        website=WEBSITE,
        load=load_all_conditions,
        splits={"train": 4 * 400, "val": 3 * 100 + 106, "test": 4 * 500},
        condition="all",
        sizes=_SIZES,
        image_format="PNG",
        unlabeled=_UNLABELED,
    ),
)
