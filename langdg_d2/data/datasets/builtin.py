"""Registration of the data sets, `<name>_sem_seg_<split>`, in Detectron2's catalogs.

Files are looked for below `$DETECTRON2_DATASETS` (default `./datasets`) when a data set is first
used, not when it is registered.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from detectron2.data import DatasetCatalog, MetadataCatalog

from ...structures import CITYSCAPES_19
from .acdc import CONDITIONS, load_acdc
from .acdc import SPLITS as ACDC_SPLITS
from .cityscapes import SPLITS as CITYSCAPES_SPLITS
from .cityscapes import load_cityscapes
from .gta5 import SPLITS as GTA5_SPLITS
from .gta5 import load_gta5


class _Family(NamedTuple):
    name: str
    load: Callable[[Path, str], list[dict[str, Any]]]  # root, split -> dataset dicts
    splits: Sequence[str]
    condition: str


_FAMILIES = (
    _Family("gta5", load_gta5, GTA5_SPLITS, "clear"),
    _Family("cityscapes", load_cityscapes, CITYSCAPES_SPLITS, "clear"),
    *(_Family(f"acdc_{c}", partial(load_acdc, condition=c), ACDC_SPLITS, c) for c in CONDITIONS),
)


def datasets_root() -> Path:
    """Folder that holds the data sets."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))


def register_all() -> None:
    """Put every data set and split into DatasetCatalog and MetadataCatalog."""
    for family in _FAMILIES:
        for split in family.splits:
            _register(family, split)


def _register(family: _Family, split: str) -> None:
    name = f"{family.name}_sem_seg_{split}"
    DatasetCatalog.register(name, lambda: family.load(datasets_root(), split))
    MetadataCatalog.get(name).set(
        stuff_classes=list(CITYSCAPES_19.names),
        stuff_colors=[list(color) for color in CITYSCAPES_19.colors],
        ignore_label=CITYSCAPES_19.ignore_label,
        evaluator_type="sem_seg",
        domain=family.name,
        condition=family.condition,
    )
