"""Finding files in the folders of data sets by what precedes their suffix."""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...utils.errors import LangDGError, shortened
from ..image_io import IMAGE_SUFFIXES

logger = logging.getLogger(__name__)

LABEL_SUFFIXES = frozenset({".png"})


class DatasetError(LangDGError):
    """A data set on disk is missing or incomplete; the message says where and what to do."""


class Folders:
    """Images and labels of a data set, with suffixes in any case; each folder is listed once.

    Patterns are paths below the root without suffix. A `*` stands for a part of the file name, or
    as the last folder for any folder; the texts that the stars stand for are the key of a file.

    Args:
        root: the data set's folder.
        dataset: name for messages.
        website: where the data set comes from.
    """

    def __init__(self, root: Path, *, dataset: str, website: str) -> None:
        self.root = root
        self._dataset = dataset
        self._website = website
        # Suffixes by stem of every folder listed. Paths are strings here: `pathlib` takes seconds
        # for ten thousands of files.
        self._listed: dict[str, dict[str, list[str]]] = {}

    def require(self, folder: str = "") -> Path:
        """A folder below the root, which must exist."""
        path = self.root / folder
        if not path.is_dir():
            raise DatasetError(
                f"{self._dataset}: folder '{path}' does not exist. Set DETECTRON2_DATASETS to the "
                f"folder that holds your data sets; {self._dataset} comes from {self._website}"
            )
        return path

    def matching(
        self, pattern: str, suffixes: Collection[str] = IMAGE_SUFFIXES
    ) -> list[tuple[tuple[str, ...], str]]:
        """Keys and files of a pattern, sorted by folder, then by name.

        Raises:
            DatasetError: if two files differ in the suffix alone.
        """
        place, _, name = pattern.rpartition("/")
        start, end = name.split("*")
        folders = [self.root / place]
        if any_folder := place.endswith("*"):
            folders = sorted(path for path in folders[0].parent.iterdir() if path.is_dir())
        found: list[tuple[tuple[str, ...], str]] = []
        for folder in folders:
            stems = [s for s in self._stems(f"{folder}") if s.startswith(start) and s.endswith(end)]
            files = [(self._file(f"{folder}", stem, suffixes), stem) for stem in stems]
            for file, stem in sorted((file, stem) for file, stem in files if file):
                part = stem[len(start) : len(stem) - len(end)]
                found.append(((folder.name, part) if any_folder else (part,), file))
        return found

    def find(
        self, pattern: str, key: Sequence[str], suffixes: Collection[str] = IMAGE_SUFFIXES
    ) -> str:
        """The file of a key, or its path as PNG if there is none; errors of `matching`."""
        path = self.path(pattern, key)
        return self._file(*os.path.split(path), suffixes) or f"{path}.png"

    def path(self, pattern: str, key: Sequence[str]) -> str:
        """The path of a key, without suffix."""
        first, *others = pattern.split("*")
        rest = (text + part for text, part in zip(key, others, strict=True))
        return os.path.join(self.root, "".join([first, *rest]))

    def _file(self, folder: str, stem: str, suffixes: Collection[str]) -> str | None:
        # Suffixes in any case: cameras and archives write `.JPG`.
        ends = self._stems(folder).get(stem, ())
        found = [stem + end for end in ends if end.lower() in suffixes]
        if len(found) > 1:
            raise DatasetError(
                f"{self._dataset}: '{folder}' holds {', '.join(sorted(found))}: nothing says "
                "which counts. Keep one of them and move the others away"
            )
        return os.path.join(folder, found[0]) if found else None

    def _stems(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listed:
            stems: dict[str, list[str]] = {}
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                stem, suffix = os.path.splitext(name)
                stems.setdefault(stem, []).append(suffix)
            self._listed[folder] = stems
        return self._listed[folder]


def image_folder(folder: str | os.PathLike[str] | None) -> list[dict[str, Any]]:
    """Dataset dicts of all images in a folder and those below it, for predictions without labels.

    Links to folders are followed. Images are read upright, as a viewer shows them, and predictions
    have that size. `image_id` is the path below the folder without suffix.
    """
    if folder is None:
        raise DatasetError("the domain 'folder' needs evaluation.folder=FOLDER, it is null")
    root = Path(folder).expanduser()
    files = [
        file
        for below in folders_below(root)
        for _, file in Folders(below, dataset="images", website="").matching("*")
    ]
    if not files:
        problem = "holds no image" if root.is_dir() else "is not a folder"
        raise DatasetError(
            f"'{root}' {problem}; expected files that end in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    others = [
        path.name
        for below in folders_below(root)
        for path in sorted(Path(below).iterdir())
        if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES
    ]
    if others:
        logger.warning("'%s' has files that are passed over: %s", root, shortened(others))
    return [
        {
            "file_name": file,
            "image_id": Path(file).relative_to(root).with_suffix("").as_posix(),
            "as_viewed": True,
        }
        for file in files
    ]


def folders_below(root: Path, _above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A folder and all folders below it in order of names; links that lead back up are left out."""
    real = root.resolve()  # a link to a folder above would be followed for ever
    if real in _above or not root.is_dir():
        return
    yield root
    for below in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from folders_below(below, _above | {real})
