"""Dark Zurich (Sakaridis et al., ICCV 2019): 50 labelled images of one drive by night.

Layout: `rgb_anon/val/night/<sequence>/*_rgb_anon.png` and
`gt/val/night/<sequence>/*_gt_labelTrainIds.png`. Only this part has public labels.
"""

from ...structures.label_encoding import TRAIN_IDS
from .family import DatasetFamily, Layout
from .folders import Folders


def _layouts(folders: Folders, split: str) -> list[Layout]:
    labels = f"gt/{split}/night/*/*_gt_labelTrainIds"
    return [Layout(f"rgb_anon/{split}/night/*/*_rgb_anon", [(labels, TRAIN_IDS)])]


FAMILIES = (
    DatasetFamily(
        name="dark_zurich",
        title="Dark Zurich",
        website="https://www.trace.ethz.ch/publications/2019/GCMA_UIoU/",
        folder="dark_zurich",
        layouts=_layouts,
        splits={"val": 50},
        condition="night",
        sizes=frozenset({(1080, 1920)}),
        image_format="PNG",
    ),
)
