"""IDD, India Driving Dataset (Varma et al., WACV 2019), segmentation part I.

Layout: `leftImg8bit/<split>/<drive>/*_leftImg8bit.png` and, drawn from the polygons of the
download by the authors' tool, `gtFine/<split>/<drive>/*_gtFine_labelcsTrainIds.png`.

Other label files of that tool are not used: level 3 ids merge animals with persons, and trains with
caravans and trailers; its Cityscapes ids changed between versions. The JPEG images of part II are
ignored.
"""

from ...structures.label_encoding import TRAIN_IDS
from .family import DatasetFamily, Layout
from .folders import Folders


def _layouts(folders: Folders, split: str) -> list[Layout]:
    labels = f"gtFine/{split}/*/*_gtFine_labelcsTrainIds"
    return [Layout(f"leftImg8bit/{split}/*/*_leftImg8bit", [(labels, TRAIN_IDS)])]


FAMILIES = (
    DatasetFamily(
        name="idd",
        title="IDD",
        website="https://idd.insaan.iiit.ac.in",
        folder="idd",
        layouts=_layouts,
        splits={"train": 6993, "val": 981},
        condition="clear",
        sizes=None,
        image_suffixes={".png"},
        image_id=lambda image: f"{image.parent.name}_{image.stem}",  # drives reuse file names
        missing_remedy="the download holds polygons: draw the labels with the authors' tool "
        "(https://github.com/AutoNUE/public-code), "
        "python preperation/createLabels.py --datadir {folder} --id-type csTrainId",
        # Most are 1080p and some 720p, according to the paper.
        least_pixels=1080 * 1920,
    ),
)
