"""ACDC (Sakaridis et al., ICCV 2021): fog, night, rain and snow.

Each condition has 400 training, 100 validation (night: 106) and 500 test images; the test labels
are not public.

Layout: `rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png` and
`gt/<condition>/<split>/<sequence>/*_gt_label{TrainIds,Ids}.png`.
"""

from functools import partial
from pathlib import Path

from .cityscapes import ids_or_train_ids
from .family import DatasetFamily, Layout
from .folders import Folders

CONDITIONS = ("fog", "night", "rain", "snow")
_SPLITS = {"train": 400, "val": 100, "test": 500}
_NIGHT_SPLITS = _SPLITS | {"val": 106}


def _layouts(folders: Folders, split: str, *, conditions: tuple[str, ...]) -> list[Layout]:
    return [
        Layout(
            f"rgb_anon/{condition}/{split}/*/*_rgb_anon",
            ids_or_train_ids(f"gt/{condition}/{split}/*/*_gt"),
        )
        for condition in conditions
    ]


def _id_with_condition(image: Path) -> str:
    return f"{image.parts[-4]}_{image.stem}"


_acdc = partial(
    DatasetFamily,
    website="https://acdc.vision.ee.ethz.ch",
    folder="acdc",
    sizes=frozenset({(1080, 1920)}),
    image_format="PNG",
    unlabeled=frozenset({"test"}),
)
_BY_CONDITION = tuple(
    _acdc(
        name=f"acdc_{condition}",
        title=f"ACDC {condition}",
        layouts=partial(_layouts, conditions=(condition,)),
        splits=_NIGHT_SPLITS if condition == "night" else _SPLITS,
        condition=condition,
    )
    for condition in CONDITIONS
)
FAMILIES = (
    *_BY_CONDITION,
    _acdc(
        name="acdc",
        title="ACDC",
        layouts=partial(_layouts, conditions=CONDITIONS),
        splits={"train": 4 * 400, "val": 3 * 100 + 106, "test": 4 * 500},
        condition="all",
        image_id=_id_with_condition,
    ),
)
