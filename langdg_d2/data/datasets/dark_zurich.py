"""Dark Zurich (Sakaridis et al., ICCV 2019): 50 labelled images of one drive by night.

Layout: `rgb_anon/val/night/<sequence>/*_rgb_anon.png` and
`gt/val/night/<sequence>/*_gt_labelTrainIds.png`. Only this part has public labels.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import TRAIN_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import pair_files

DATASET = "Dark Zurich"
_END = "_rgb_anon"
WEBSITE = "https://www.trace.ethz.ch/publications/2019/GCMA_UIoU/"


def load_dark_zurich(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of the night images of Dark Zurich below `root/dark_zurich`.

    Raises:
        DatasetError: for missing folders or files.
    """
    folder, place = root / "dark_zurich", f"{split}/night"
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(folder / "rgb_anon" / place)
    labels = folders.require(folder / "gt" / place)
    files = folders.images_below(images, end=_END)

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        stem = f"{image.stem.removesuffix(_END)}_gt_labelTrainIds"
        return folders.label(labels / image.parent.name, stem), TRAIN_IDS

    return pair_files(files, find_label, dataset=DATASET)


FAMILIES = (
    DatasetFamily(
        name="dark_zurich",
        title=DATASET,
        website=WEBSITE,
        load=load_dark_zurich,
        splits={"val": 50},
        condition="night",
        sizes=frozenset({(1080, 1920)}),
        image_format="PNG",
    ),
)
