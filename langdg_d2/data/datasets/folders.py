"""Search for the files of data sets, regardless of their suffixes."""

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
    """A data set on disk is missing or incomplete."""


class Folders:
    """Images and labels of a data set, with suffixes in any case; each folder is listed once.

    Patterns are paths below the root without suffix. A `*` matches a part of the file name or the
    last folder; the texts that the stars match are the key of a file.

    Args:
        root: the data set's folder.
        dataset: name for messages.
        website: website of the data set.
    """

    def __init__(self, root: Path, *, dataset: str, website: str) -> None:
        self.root = root
        self._dataset = dataset
        self._website = website
        # Suffixes by stem of every listed folder. Paths are strings, because `pathlib` takes
        # seconds for tens of thousands of files.
        self._listed: dict[str, dict[str, list[str]]] = {}

    def require(self, folder: str = "") -> Path:
        """Return a folder below the root, which must exist."""
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
        """Return keys and files of a pattern, sorted by folder, then by name.

        Raises:
            DatasetError: if two files differ only in the suffix.
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
        """Return the file of a key, or its path as PNG if it is missing; raises like `matching`."""
        path = self.path(pattern, key)
        return self._file(*os.path.split(path), suffixes) or f"{path}.png"

    def path(self, pattern: str, key: Sequence[str]) -> str:
        """Return the path of a key, without suffix."""
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
    """Return dataset dicts of all images in a folder and its subfolders, for predictions.

    Links to folders are followed. Images are read upright, as a viewer shows them, and predictions
    have that size. `image_id` is the path below the folder without suffix.
    """
    if folder is None:
        raise DatasetError("the domain 'folder' needs evaluation.folder=FOLDER, but it is null")
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
        logger.warning("skipping files in '%s' that are not images: %s", root, shortened(others))
    return [
        {
            "file_name": file,
            "image_id": Path(file).relative_to(root).with_suffix("").as_posix(),
            "as_viewed": True,
        }
        for file in files
    ]


def folders_below(root: Path, _above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield a folder and its subfolders in order of names, without links that lead back up."""
    real = root.resolve()  # a link to a parent folder would be followed forever
    if real in _above or not root.is_dir():
        return
    yield root
    for below in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from folders_below(below, _above | {real})
