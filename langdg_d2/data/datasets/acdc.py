"""ACDC (Sakaridis et al., ICCV 2021): adverse conditions, 106 night and 100 each other val images.

Layout: `rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png` and
`gt/<condition>/<split>/<sequence>/*_gt_label{TrainIds,Ids}.png`.
"""

from functools import partial
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from .cityscapes import ids_or_train_ids
from .family import DatasetFamily
from .pairing import pair_files, require_folder, require_images

DATASET = "ACDC"
WEBSITE = "https://acdc.vision.ee.ethz.ch"
CONDITIONS = ("fog", "night", "rain", "snow")
# Number of images: of every condition 400 to train, and of night 106 to validate.
_SPLITS = {"train": 400, "val": 100}
_NIGHT_SPLITS = {"train": 400, "val": 106}


def load_acdc(root: Path, split: str, *, condition: str) -> list[dict[str, Any]]:
    """Dataset dicts of one condition of ACDC below `root/acdc`.

    Raises:
        DatasetError: for missing folders or files.
    """
    folder, name = root / "acdc", f"{DATASET} {condition}"
    images = require_folder(folder / "rgb_anon" / condition / split, dataset=name, website=WEBSITE)
    labels = require_folder(folder / "gt" / condition / split, dataset=name, website=WEBSITE)
    pattern = "*/*_rgb_anon.png"
    files = require_images(images.glob(pattern), dataset=name, pattern=f"{images}/{pattern}")

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = labels / image.parent.name / image.name.replace("_rgb_anon.png", "_gt")
        return ids_or_train_ids(stem)

    return pair_files(files, find_label, dataset=name)


FAMILIES = tuple(
    DatasetFamily(
        name=f"acdc_{condition}",
        title=f"{DATASET} {condition}",
        website=WEBSITE,
        load=partial(load_acdc, condition=condition),
        splits=_NIGHT_SPLITS if condition == "night" else _SPLITS,
        condition=condition,
        sizes=frozenset({(1080, 1920)}),
    )
    for condition in CONDITIONS
)
