"""GTA5, "Playing for Data" (Richter et al., ECCV 2016): 24,966 rendered frames.

Layout: `images/00001.png`, `labels/00001.png` (palette images of Cityscapes-like ids), and for the
splits a list `train.txt` / `val.txt` of file names, or the authors' `split.mat`.
"""

import logging
from functools import cache
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...structures.label_maps import GTA5_LABEL_IDS
from ..image_io import ImageFileError, read_size
from .family import DatasetFamily
from .folders import Folders
from .pairing import DatasetError, pair_files
from .split_lists import read_split_list

_logger = logging.getLogger(__name__)

DATASET = "GTA5"
WEBSITE = "https://download.visinf.tu-darmstadt.de/data/from_games/"

# Frames of the release whose image and label differ in size.
MISMATCHED = frozenset({"15188", "17705", *(str(number) for number in range(20801, 20861))})
_SHARE = 0.01  # of the frames may differ in size beside those; more are of another copy
_SHOWN = 8  # frames in a message


def load_gta5(root: Path, split: str) -> list[dict[str, Any]]:
    """Dataset dicts of GTA5 below `root/gta5`, but for frames whose image and label differ in size.

    Those known of the release are left out, and a few others that the files' headers show, 1 % at
    most; the log names them once.

    Args:
        root: folder of the data sets.
        split: `all`, or `train` / `val` as a list file or `split.mat` says.

    Raises:
        DatasetError: for missing folders, lists or files, or more frames of unequal sizes.
    """
    folder = root / "gta5"
    folders = Folders(dataset=DATASET, website=WEBSITE)
    images = folders.require(folder / "images")
    labels = folders.require(folder / "labels")
    if split == "all":
        files = folders.require_images(folders.images(images), pattern=f"{images}/*.png")
    else:
        files = [folders.image(images, stem) for stem in _split_stems(folder, split)]

    def find_label(image: Path) -> tuple[Path, LabelEncoding]:
        return folders.label(labels, image.stem), GTA5_LABEL_IDS

    known = [file for file in files if file.stem not in MISMATCHED]
    usable = [file for file in known if not _differ(file, find_label(file)[0])]
    if len(known) - len(usable) > max(1, _SHARE * len(known)):
        raise DatasetError(
            f"{DATASET}: {len(known) - len(usable)} of {len(known)} images are not of the size of "
            f"their labels: '{images}' and '{labels}' seem not to be of one copy. Use both as "
            "downloaded",
            path=labels,
        )
    if not usable:
        raise DatasetError(
            f"{DATASET}: all {len(files)} frames of the split '{split}' are left out, as image and "
            f"label differ in size: see that '{folder}' holds the whole data set, and the split "
            "the authors' frames",
            path=images,
        )
    if left_out := sorted({file.stem for file in files} - {file.stem for file in usable}):
        _warn_once(folder, split, tuple(left_out))
    return pair_files(usable, find_label, dataset=DATASET)


@cache
def _warn_once(folder: Path, split: str, left_out: tuple[str, ...]) -> None:
    more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
    _logger.warning(
        "%s: %d frames of the split '%s' are left out, as image and label differ in size: %s%s",
        *(DATASET, len(left_out), split, ", ".join(left_out[:_SHOWN]), more),
    )


@cache  # a run loads its data sets several times
def _differ(image: Path, label: Path) -> bool:
    try:
        return read_size(image) != read_size(label)
    except ImageFileError:  # which is named when the pair is read
        return False


def _split_stems(folder: Path, split: str) -> list[str]:
    list_file, matlab_file = folder / f"{split}.txt", folder / "split.mat"
    if list_file.is_file():
        return read_split_list(list_file, dataset=DATASET)
    if matlab_file.is_file():
        return [f"{number:05d}" for number in _matlab_split(matlab_file, split)]
    raise DatasetError(
        f"{DATASET}: neither '{list_file}' nor '{matlab_file}' exists. Put the authors' "
        f"split.mat there, or a text file with one file name a line, or use the split 'all'"
    )


def _matlab_split(matlab_file: Path, split: str) -> list[int]:
    try:
        from scipy.io import loadmat  # only the authors' file needs it
    except ImportError as error:
        raise DatasetError(
            f"{DATASET}: reading '{matlab_file}' needs SciPy: pip install scipy, or write the "
            f"'{split}' split to '{matlab_file.with_name(split + '.txt')}', a file name a line"
        ) from error
    try:
        numbers = loadmat(matlab_file).get(f"{split}Ids")
    except Exception as error:  # SciPy raises errors of many kinds on damaged files
        raise DatasetError(
            f"{DATASET}: '{matlab_file}' cannot be read as a MATLAB file ({error}). Copy it again "
            f"from {WEBSITE}",
            path=matlab_file,
        ) from error
    if numbers is None or not numbers.size:
        raise DatasetError(
            f"{DATASET}: '{matlab_file}' has no frames under '{split}Ids', expected the authors' "
            "split.mat with their numbers. Copy it again from " + WEBSITE,
            path=matlab_file,
        )
    return [int(number) for number in numbers.ravel()]


FAMILIES = (
    DatasetFamily(
        name="gta5",
        title=DATASET,
        website=WEBSITE,
        load=load_gta5,
        splits={"train": None, "val": None, "all": 24_966 - len(MISMATCHED)},
        condition="clear",
        sizes=frozenset({(1052, 1914), (1046, 1914)}),
        image_format="PNG",
    ),
)
