"""BDD100K, the 10k images with semantic labels (Yu et al., CVPR 2020): 7,000 and 1,000 images.

And 2,000 test images, whose labels are not public.

Its downloads changed over the years. Images are found in `seg/images/<split>` (first release),
`images/10k/<split>` or `10k/<split>` (later archives) or `images/<split>`; labels in
`seg/labels/<split>`, `labels/sem_seg/masks/<split>`, `bdd100k_seg_maps/labels/<split>` or
`labels/<split>`, called `<image>_train_id.png` or `<image>.png`. Both hold train ids.
"""

from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import TRAIN_IDS
from .family import DatasetFamily
from .folders import Folders
from .pairing import DatasetError, image_records, pair_files

DATASET = "BDD100K"
WEBSITE = "https://bdd-data.berkeley.edu"

_UNLABELED = frozenset({"test"})
_IMAGES = ("seg/images", "images/10k", "10k", "images")
_LABELS = ("seg/labels", "labels/sem_seg/masks", "bdd100k_seg_maps/labels", "labels")


def load_bdd100k(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of BDD100K below `root/bdd100k`.

    Raises:
        DatasetError: for missing folders or files, and where two copies of the images or of the
            labels leave open which one counts.
    """
    folders = Folders(dataset=DATASET, website=WEBSITE)
    folder = folders.require(root / "bdd100k")
    files = folders.images(_only_folder(folder, _IMAGES, split, folders))
    if split in _UNLABELED:
        return image_records(files)
    labels = _only_folder(folder, _LABELS, split, folders)

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        return folders.label(labels, f"{image.stem}_train_id", image.stem), TRAIN_IDS

    return pair_files(
        files,
        find_label,
        dataset=DATASET,
        remedy="images and labels may be of different releases (until June 2021 some images came "
        f"without labels): download both again from {WEBSITE}",
    )


def _only_folder(folder: Path, places: tuple[str, ...], split: str, folders: Folders) -> Path:
    kind = "images" if places is _IMAGES else "labels"
    # The archives have a folder `bdd100k` of their own, which may stand inside the expected one.
    known = [base / place / split for base in (folder, folder / "bdd100k") for place in places]
    found = [place for place in known if folders.images(place)]
    if not found:
        raise DatasetError(
            f"{DATASET}: no {kind} of the split '{split}' in any of {_listed(known)}. Unpack "
            f"the 10k images and their semantic labels there; they come from {WEBSITE}",
            path=folder,
        )
    if len(found) > 1:
        raise DatasetError(
            f"{DATASET}: {_listed(found)} all hold {kind} of the split '{split}', and releases "
            f"differ. Keep one of them and move the others out of '{folder}'",
            path=folder,
        )
    return found[0]


def _listed(folders: list[Path]) -> str:
    return ", ".join(f"'{folder}'" for folder in folders)


FAMILIES = (
    DatasetFamily(
        name="bdd100k",
        title=DATASET,
        website=WEBSITE,
        load=load_bdd100k,
        splits={"train": 7000, "val": 1000, "test": 2000},
        condition="all",
        sizes=frozenset({(720, 1280)}),
        image_format="JPEG",
        unlabeled=_UNLABELED,
    ),
)
