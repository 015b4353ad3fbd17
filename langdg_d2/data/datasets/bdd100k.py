"""BDD100K, the 10k images with semantic labels (Yu et al., CVPR 2020).

It has 7,000 training, 1,000 validation and 2,000 test images; the test labels are not public.

The layout of the downloads has changed. Images are in `seg/images/<split>` (first release),
`images/10k/<split>` or `10k/<split>` (later archives) or `images/<split>`; labels in
`seg/labels/<split>`, `labels/sem_seg/masks/<split>`, `bdd100k_seg_maps/labels/<split>` or
`labels/<split>`, named `<image>_train_id.png` or `<image>.png`. Both contain train ids.
"""

from ...structures.label_encoding import TRAIN_IDS
from .family import DatasetFamily, Layout
from .folders import DatasetError, Folders

_WEBSITE = "https://bdd-data.berkeley.edu"
_UNLABELED = frozenset({"test"})
_PLACES = {
    "images": ("seg/images", "images/10k", "10k", "images"),
    "labels": ("seg/labels", "labels/sem_seg/masks", "bdd100k_seg_maps/labels", "labels"),
}


def _layouts(folders: Folders, split: str) -> list[Layout]:
    folders.require()
    images = f"{_only_place(folders, 'images', split)}/*"
    if split in _UNLABELED:
        return [Layout(images)]
    labels = f"{_only_place(folders, 'labels', split)}/*"
    return [Layout(images, [(f"{labels}_train_id", TRAIN_IDS), (labels, TRAIN_IDS)])]


def _only_place(folders: Folders, kind: str, split: str) -> str:
    # The archives have their own folder `bdd100k`, which may be inside the expected one.
    known = [f"{base}{place}/{split}" for base in ("", "bdd100k/") for place in _PLACES[kind]]
    found = [place for place in known if folders.matching(f"{place}/*")]
    listed = ", ".join(f"'{folders.root / place}'" for place in found or known)
    if not found:
        raise DatasetError(
            f"BDD100K: no {kind} of the split '{split}' in any of {listed}. Unpack the 10k images "
            f"and their semantic labels there; they come from {_WEBSITE}"
        )
    if len(found) > 1:
        raise DatasetError(
            f"BDD100K: {listed} all contain {kind} of the split '{split}', and releases differ. "
            f"Keep one of them and move the others out of '{folders.root}'"
        )
    return found[0]


FAMILIES = (
    DatasetFamily(
        name="bdd100k",
        title="BDD100K",
        website=_WEBSITE,
        folder="bdd100k",
        layouts=_layouts,
        splits={"train": 7000, "val": 1000, "test": 2000},
        condition="all",
        sizes=frozenset({(720, 1280)}),
        image_format="JPEG",
        unlabeled=_UNLABELED,
        missing_remedy="images and labels may be of different releases (until June 2021 some "
        f"images came without labels): download both again from {_WEBSITE}",
    ),
)
