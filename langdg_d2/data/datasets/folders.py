"""Finding files in the folders of data sets by what precedes their suffix."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..image_io import IMAGE_SUFFIXES
from .pairing import DatasetError, image_records

LABEL_SUFFIXES = frozenset({".png"})


class Folders:
    """Images and labels, with suffixes in any case; every folder is listed once.

    Args:
        dataset: name for messages.
        website: where the data set comes from.
        image_suffixes: of images, in small letters.
    """

    def __init__(
        self, *, dataset: str, website: str, image_suffixes: Collection[str] = IMAGE_SUFFIXES
    ) -> None:
        self._dataset = dataset
        self._website = website
        self._suffixes = frozenset(image_suffixes)
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def require(self, folder: Path) -> Path:
        """Return a folder that exists.

        Raises:
            DatasetError: names the folder, the environment variable that moves it and the source.
        """
        if not folder.is_dir():
            raise DatasetError(
                f"{self._dataset}: folder '{folder}' does not exist. Set DETECTRON2_DATASETS to "
                f"the folder that holds your data sets; {self._dataset} comes from "
                f"{self._website}",
                path=folder,
            )
        return folder

    def require_images(self, images: list[Path], *, pattern: str) -> list[Path]:
        """Return images, of which there are some.

        Raises:
            DatasetError: if there are none; names the pattern that found nothing.
        """
        if not images:
            raise DatasetError(
                f"{self._dataset}: no image matches '{pattern}'; is the download unpacked?"
            )
        return images

    def images(self, folder: Path, *, start: str = "", end: str = "") -> list[Path]:
        """Images in a folder whose stems start and end so, sorted; empty if it does not exist.

        Raises:
            DatasetError: if two of them differ in the suffix alone.
        """
        stems = (s for s in self._stems(folder) if s.startswith(start) and s.endswith(end))
        names = (self._name(folder, stem, self._suffixes) for stem in stems)
        return [folder / name for name in sorted(name for name in names if name)]

    def images_below(self, folder: Path, *, end: str) -> list[Path]:
        """`images` of all folders in a folder, such as those of cities or drives, sorted.

        Raises:
            DatasetError: if there are none.
        """
        below = sorted(path for path in folder.iterdir() if path.is_dir())
        images = [path for one in below for path in self.images(one, end=end)]
        return self.require_images(images, pattern=f"{folder}/*/*{end}.png")

    def image(self, folder: Path, stem: str) -> Path:
        """The image of a stem, or the PNG that is missing; errors of `images`."""
        return folder / (self._name(folder, stem, self._suffixes) or f"{stem}.png")

    def label(self, folder: Path, *stems: str) -> Path:
        """The label of the first stem that has one, or the PNG of the last that is missing.

        Raises:
            DatasetError: if two files of a stem differ in the suffix alone.
        """
        names = (self._name(folder, stem, LABEL_SUFFIXES) for stem in stems)
        return folder / next((name for name in names if name), f"{stems[-1]}.png")

    def _name(self, folder: Path, stem: str, suffixes: Collection[str]) -> str:
        """The file of a stem with one of the suffixes, "" if there is none."""
        ends = self._stems(folder).get(stem, ())
        found = [stem + end for end in ends if end.lower() in suffixes]
        if len(found) > 1:
            raise DatasetError(
                f"{self._dataset}: '{folder}' holds {', '.join(sorted(found))}: nothing says "
                "which counts. Keep one of them and move the others away",
                path=folder / found[0],
            )
        return found[0] if found else ""

    def _stems(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            stems: dict[str, list[str]] = {}
            for name in os.listdir(folder) if folder.is_dir() else ():
                stem, suffix = os.path.splitext(name)
                stems.setdefault(stem, []).append(suffix)
            self._listed[folder] = stems
        return self._listed[folder]


def image_folder(folder: str | os.PathLike[str] | None) -> list[dict[str, Any]]:
    """Dataset dicts of all images in a folder and those below it, for predictions without labels.

    They are read as a viewer shows them, upright: predictions have that size. `image_id` is the
    path below the folder without suffix.

    Args:
        folder: where images are looked for; links to folders are followed.

    Raises:
        DatasetError: if no folder is named, there is no such folder, no image in it, or two that
            differ in the suffix alone.
    """
    if folder is None:
        raise DatasetError("the domain 'folder' needs evaluation.folder=FOLDER, it is null")
    root = Path(folder).expanduser()
    folders = Folders(dataset="images", website="")
    files = [path for below in folders_below(root) for path in folders.images(below)]
    if not files:
        problem = "holds no image" if root.is_dir() else "is not a folder"
        raise DatasetError(
            f"'{root}' {problem}; expected files that end in {', '.join(sorted(IMAGE_SUFFIXES))}",
            path=root,
        )

    def image_id(image: Path) -> str:
        return image.relative_to(root).with_suffix("").as_posix()

    return [record | {"as_viewed": True} for record in image_records(files, image_id=image_id)]


def folders_below(root: Path, _above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A folder and all folders below it in order of names; links that lead back up are left out."""
    real = root.resolve()
    if real in _above or not root.is_dir():
        return
    yield root
    for below in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from folders_below(below, _above | {real})
