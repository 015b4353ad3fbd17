"""Registration of the data sets as `<name>_sem_seg_<split>` in Detectron2's catalogs.

Files are searched below `$DETECTRON2_DATASETS` (default `./datasets`) when a data set is first
used, not when it is registered.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ...structures import CITYSCAPES_19
from . import acdc, bdd100k, cityscapes, dark_zurich, gta5, idd, mapillary, synthia, urbansyn
from .family import DatasetFamily

# All data sets by name, for tables, tests and tools.
FAMILIES: dict[str, DatasetFamily] = {
    family.name: family
    for module in (
        *(gta5, synthia, cityscapes, bdd100k, mapillary),
        *(acdc, urbansyn, idd, dark_zurich),
    )
    for family in module.FAMILIES
}


def datasets_root() -> Path:
    """Return the root folder of the data sets."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def register_all() -> None:
    """Register every data set and split in DatasetCatalog and MetadataCatalog."""
    for family in FAMILIES.values():
        for split in family.splits:
            name = family.registered_name(split)
            DatasetCatalog.register(name, partial(_load, family, split))
            MetadataCatalog.get(name).set(
                stuff_classes=list(CITYSCAPES_19.names),
                stuff_colors=[list(color) for color in CITYSCAPES_19.colors],
                ignore_label=CITYSCAPES_19.ignore_label,
                evaluator_type="sem_seg",
                domain=family.name,
                condition=family.condition,
            )


def _load(family: DatasetFamily, split: str) -> list[dict[str, Any]]:
    return family.load(datasets_root(), split)
