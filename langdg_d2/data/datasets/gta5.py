"""GTA5, "Playing for Data" (Richter et al., ECCV 2016): 24,966 rendered frames.

Layout: `images/00001.png`, `labels/00001.png` (palette images of Cityscapes-like ids), and for the
splits a list `train.txt` / `val.txt` of file names, or the authors' `split.mat`.
"""

import logging
from functools import cache
from pathlib import Path

from ...structures.label_encoding import GTA5_LABEL_IDS
from ...utils.errors import shortened
from ..image_io import ImageFileError, read_size
from .family import DatasetFamily, FoundFiles, Layout
from .folders import DatasetError, Folders
from .split_lists import read_split_list

_logger = logging.getLogger(__name__)

_WEBSITE = "https://download.visinf.tu-darmstadt.de/data/from_games/"

# Frames of the release whose image and label differ in size, as in public loaders.
MISMATCHED = frozenset({"15188", "17705", *(str(number) for number in range(20801, 20861))})
_SHARE = 0.01  # further frames that may differ in size; with more, copies are mixed up


class _GTA5(DatasetFamily):
    def find(self, root: Path, split: str) -> FoundFiles:
        """Find the files of a split, without frames whose image and label differ in size.

        The known frames of the release are left out, and up to 1 % more whose headers show
        different sizes; a warning names them once.
        """
        found = super().find(root, split)
        records = [x for x in found.records if x["image_id"] not in MISMATCHED]
        missing = [path for path in found.missing if path.stem not in MISMATCHED]
        usable = [x for x in records if not _differ(x["file_name"], x["sem_seg_file_name"])]
        if len(records) - len(usable) > max(1, _SHARE * len(records)):
            raise DatasetError(
                f"GTA5: {len(records) - len(usable)} of {len(records)} images differ in size "
                f"from their labels: images and labels in '{root / self.folder}' seem to be from "
                "different copies. Use both as downloaded"
            )
        kept = {x["image_id"] for x in usable} | {path.stem for path in missing}
        if not kept:
            raise DatasetError(
                f"GTA5: all {found.listed} frames of the split '{split}' are left out, because "
                f"image and label differ in size: check that '{root / self.folder}' contains the "
                "whole data set, and that the split names the authors' frames"
            )
        listed = {x["image_id"] for x in found.records} | {path.stem for path in found.missing}
        if left_out := tuple(sorted(listed - kept)):
            _warn_once(root, split, left_out)
        return FoundFiles(usable, missing, found.listed - len(left_out))


@cache
def _warn_once(root: Path, split: str, left_out: tuple[str, ...]) -> None:
    _logger.warning(
        "GTA5: %d frames of the split '%s' are left out, as image and label differ in size: %s",
        *(len(left_out), split, shortened(left_out)),
    )


@cache  # a run lists its source several times
def _differ(image: str, label: str) -> bool:
    try:
        return read_size(image) != read_size(label)
    except ImageFileError:  # reading the pair names the file
        return False


def _layouts(folders: Folders, split: str) -> list[Layout]:
    stems = None if split == "all" else _split_stems(folders.require(), split)
    return [Layout("images/*", [("labels/*", GTA5_LABEL_IDS)], stems)]


def _split_stems(folder: Path, split: str) -> list[str]:
    list_file, matlab_file = folder / f"{split}.txt", folder / "split.mat"
    if list_file.is_file():
        return read_split_list(list_file, dataset="GTA5")
    if not matlab_file.is_file():
        raise DatasetError(
            f"GTA5: neither '{list_file}' nor '{matlab_file}' exists. Put the authors' split.mat "
            "there, or a text file with one file name a line, or use the split 'all'"
        )
    try:
        from scipy.io import loadmat  # only the authors' file needs it
    except ImportError as error:
        raise DatasetError(
            f"GTA5: reading '{matlab_file}' needs SciPy: pip install scipy, or write the "
            f"'{split}' split to '{list_file}', a file name a line"
        ) from error
    try:
        numbers = loadmat(matlab_file)[f"{split}Ids"].ravel()
    except Exception as error:  # SciPy raises errors of many types for damaged files
        raise DatasetError(
            f"GTA5: '{matlab_file}' cannot be read as a MATLAB file with '{split}Ids' ({error}). "
            f"Copy it again from {_WEBSITE}"
        ) from error
    return [f"{number:05d}" for number in numbers.tolist()]


FAMILIES = (
    _GTA5(
        name="gta5",
        title="GTA5",
        website=_WEBSITE,
        folder="gta5",
        layouts=_layouts,
        splits={"train": None, "val": None, "all": 24_966 - len(MISMATCHED)},
        # FAMix's list has 12,382 and 1,000 images, split.mat more.
        least_images={"train": 12_000, "val": 1000},
        condition="clear",
        sizes=frozenset({(1052, 1914), (1046, 1914)}),
        image_format="PNG",
    ),
)
