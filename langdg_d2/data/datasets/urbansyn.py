"""UrbanSyn (Gómez et al., 2023): 7,539 rendered frames, labelled with the 19 Cityscapes classes.

Layout: `rgb/rgb_0001.png` and `ss/ss_0001.png` (grey images of train ids, 19 where nothing is
labelled). The data set has no splits.
"""

from ...structures.label_encoding import URBANSYN_TRAIN_IDS
from .family import DatasetFamily, Layout
from .folders import Folders


def _layouts(folders: Folders, split: str) -> list[Layout]:
    return [Layout("rgb/rgb_*", [("ss/ss_*", URBANSYN_TRAIN_IDS)])]


FAMILIES = (
    DatasetFamily(
        name="urbansyn",
        title="UrbanSyn",
        website="https://www.urbansyn.org",
        folder="urbansyn",
        layouts=_layouts,
        splits={"all": 7539},
        condition="clear",
        sizes=frozenset({(1024, 2048)}),
        image_format="PNG",
    ),
)
