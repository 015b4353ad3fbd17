"""Descriptions of data sets and their files."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from ...structures import LabelEncoding
from ...utils.errors import shortened
from ..image_io import IMAGE_SUFFIXES
from .folders import LABEL_SUFFIXES, DatasetError, Folders


class Layout(NamedTuple):
    """Locations of the images and labels of a split, as patterns of `Folders`.

    Attributes:
        images: pattern of the images.
        labels: patterns of their labels, with the same stars, and their encodings. The first
            existing file is used; if there is none, the last pattern is reported as missing.
        stems: values of the star in a split defined by a list; None for all images.
    """

    images: str
    labels: Sequence[tuple[str, LabelEncoding]] = ()
    stems: Sequence[str] | None = None


class FoundFiles(NamedTuple):
    """Files of a split.

    Attributes:
        records: dataset dicts of the complete pairs.
        missing: missing files.
        listed: number of pairs, complete or not.
    """

    records: list[dict[str, Any]]
    missing: list[Path]
    listed: int


@dataclass(frozen=True, kw_only=True)
class DatasetFamily:
    """A data set and its splits.

    Attributes:
        name: name in registered names, `<name>_sem_seg_<split>`, and in result tables.
        title: official name.
        website: official website.
        folder: folder below the root of the data sets.
        layouts: function that returns the locations of a split's files.
        splits: number of images per split in the release; None if it depends on the user's list.
        condition: weather or light: "clear", "fog", "night", "rain", "snow" or "all".
        sizes: (height, width) of the images in pixels; None if they vary.
        unlabeled: splits without public labels, for predictions that the authors' server scores.
        image_id: function that returns the id of an image's path, unique in the split.
        image_suffixes: suffixes of images, in lower case.
        missing_remedy: remedy for missing files, if specific to the data set; `{folder}` stands for
            its folder.
        same_images_as: name of a family with the same images and other labels; None for none.
        least_images: number of images in the usual lists, for splits defined by a list.
        least_pixels: minimum number of pixels of most images, if `sizes` vary.
        has_many_sizes: whether the images of a complete split have several sizes.
        image_format: Pillow's name for the format of the images; None if unknown.
        folders: names of the folders of a split's images, if known.
    """

    name: str
    title: str
    website: str
    folder: str
    layouts: Callable[[Folders, str], Sequence[Layout]]
    splits: Mapping[str, int | None]
    condition: str
    sizes: frozenset[tuple[int, int]] | None
    unlabeled: frozenset[str] = frozenset()
    image_id: Callable[[Path], str] = attrgetter("stem")
    image_suffixes: Collection[str] = IMAGE_SUFFIXES
    missing_remedy: str | None = None
    same_images_as: str | None = None
    least_images: Mapping[str, int] = field(default_factory=dict)
    least_pixels: int | None = None
    has_many_sizes: bool = False
    image_format: str | None = None
    folders: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def registered_name(self, split: str) -> str:
        """Return the name of a split in Detectron2's catalogs."""
        return f"{self.name}_sem_seg_{split}"

    def remedy(self, root: Path) -> str | None:
        """Return `missing_remedy` for a copy below the root of the data sets."""
        return self.missing_remedy and self.missing_remedy.format(folder=root / self.folder)

    def load(self, root: Path, split: str) -> list[dict[str, Any]]:
        """Return the dataset dicts of a split below the root of the data sets.

        Returns:
            For each image `file_name` and `image_id`; if the split has labels, also
            `sem_seg_file_name` and `label_encoding`.

        Raises:
            DatasetError: for missing folders or files, and for ambiguous ones.
        """
        records, missing, listed = self.find(root, split)
        if missing:
            examples = shortened(f"'{path}'" for path in missing)
            incomplete = "the download or its unpacking is incomplete: get the rest of it"
            raise DatasetError(
                f"{self.title}: {listed - len(records)} of {listed} image-label pairs lack a file, "
                f"such as {examples}; {self.remedy(root) or incomplete}"
            )
        return records

    def find(self, root: Path, split: str) -> FoundFiles:
        """Like `load`, but missing files are not an error."""
        folders, layouts = self._open(root, split)
        records: list[dict[str, Any]] = []
        missing: list[Path] = []
        listed = 0
        for layout in layouts:
            # A list may name images that are missing; a folder cannot.
            if layout.stems is None:
                images = folders.matching(layout.images, self.image_suffixes)
            else:
                keys = [(stem,) for stem in layout.stems]
                images = [(key, folders.find(layout.images, key)) for key in keys]
            listed += len(images)
            for key, image in images:
                files = [image]
                record = {"file_name": image, "image_id": self.image_id(Path(image))}
                for pattern, encoding in layout.labels:
                    label = folders.find(pattern, key, LABEL_SUFFIXES)
                    record |= {"sem_seg_file_name": label, "label_encoding": encoding.name}
                    files = [image, label]
                    if os.path.isfile(label):
                        break  # the first existing kind of label is used
                absent = [Path(file) for file in files if not os.path.isfile(file)]
                missing += absent
                if not absent:
                    records.append(record)
        if not listed:
            patterns = " or ".join(f"'{root / self.folder / x.images}.png'" for x in layouts)
            raise DatasetError(
                f"{self.title}: no image matches {patterns}; is the download unpacked?"
            )
        return FoundFiles(records, missing, listed)

    def lone_labels(self, root: Path, split: str) -> Iterator[tuple[Path, Path]]:
        """Yield labels without an image, and the expected path of the image, without suffix."""
        folders, layouts = self._open(root, split)
        for layout in layouts:
            lone: dict[tuple[str, ...], str] = {}
            for pattern, _ in layout.labels:
                for key, label in folders.matching(pattern, LABEL_SUFFIXES):
                    # A rendering `a_color.png` of the label may accompany `a.png`.
                    *folder, name = key
                    parts = name.split("_")
                    names = ["_".join(parts[:count]) for count in range(len(parts), 0, -1)]
                    images = [folders.find(layout.images, (*folder, name)) for name in names]
                    if label not in lone.values() and not any(map(os.path.isfile, images)):
                        lone.setdefault(key, label)
            for key, label in lone.items():
                yield Path(label), Path(folders.path(layout.images, key))

    def departure(
        self, split: str, count: int, images: Sequence[tuple[str, str | None, tuple[int, int]]]
    ) -> str:
        """Describe how a copy of a split differs from the release.

        Args:
            split: name of the split.
            count: number of images in the copy.
            images: file name, Pillow's name for the format, and (height, width) of all or some.

        Returns:
            Text such as "3 of 500 images, 128x256 instead of 1024x2048"; "" for the release.
        """
        found = self._other_sizes([size for _, _, size in images])
        formats = sorted({str(kind) for _, kind, _ in images} - {self.image_format})
        if self.image_format and formats:
            found.append(f"{formats[0]} files instead of {self.image_format}")
        if split in self.folders:
            places = {Path(file).parent.name for file, _, _ in images} - self.folders[split]
            found += [f"some in '{place}'" for place in sorted(places)[:1]]

        published, least = self.splits[split], self.least_images.get(split, 0)
        if published is not None and count != published:
            relation = "of" if count < published else "instead of"
            found.insert(0, f"{count} {relation} {published} images")
        elif count < least:
            found.insert(0, f"{count} images, the usual lists have {least} or more")
        elif found:
            found.insert(0, f"{count} images")
        return ", ".join(found)

    def _other_sizes(self, sizes: Sequence[tuple[int, int]]) -> list[str]:
        """Describe how sizes of images differ from those of the release."""
        found = []
        if self.sizes is not None:
            others = [size for size in sizes if size not in self.sizes]
            if different := sorted({*others}):
                some = "" if len(others) == len(sizes) else f"{len(others)} of them "
                several = "" if len(different) == 1 else "sizes such as "
                expected = " or ".join(map(_size_text, sorted(self.sizes)))
                found.append(f"{some}{several}{_size_text(different[0])} instead of {expected}")
        elif self.has_many_sizes and len(sizes) > 1 and len({*sizes}) == 1:
            found.append(f"all {_size_text(sizes[0])} instead of various sizes")
        elif self.has_many_sizes and len(sizes) > 1 and len({*map(min, sizes)}) == 1:
            found.append(f"all with a shorter side of {min(sizes[0])} instead of various sizes")
        if least := self.least_pixels:
            small = sum(height * width < least for height, width in sizes)
            if small > len(sizes) / 2:  # a few small images are normal
                found.append(f"{small} of them below {least} pixels")
        return found

    def _open(self, root: Path, split: str) -> tuple[Folders, list[Layout]]:
        folders = Folders(root / self.folder, dataset=self.title, website=self.website)
        layouts = list(self.layouts(folders, split))
        if split in self.unlabeled:
            layouts = [layout._replace(labels=()) for layout in layouts]
        # Report a missing folder as such, not as a split without images.
        for layout in layouts:
            for pattern in (layout.images, *(labels for labels, _ in layout.labels)):
                folders.require(pattern.partition("*")[0].rpartition("/")[0])
        return folders, layouts


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
