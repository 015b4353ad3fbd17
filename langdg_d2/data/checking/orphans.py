"""Labels that have no image, found by how the names of the other pairs go together."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from ..image_io import IMAGE_SUFFIXES


@dataclass(frozen=True)
class _Naming:
    """What is before and after the part of a name that image and label share."""

    image: tuple[str, str]
    label: tuple[str, str]

    @classmethod
    def of(cls, image: Path, label: Path) -> "_Naming":
        matcher = SequenceMatcher(a=image.stem, b=label.stem, autojunk=False)
        match = matcher.find_longest_match()
        return cls(
            image=(image.stem[: match.a], image.stem[match.a + match.size :]),
            label=(label.name[: match.b], label.name[match.b + match.size :]),
        )

    def images_of(self, label: str) -> list[str]:
        """Stems that the image of a label may have: none if the label is not named this way."""
        before, after = self.label
        if not (label.startswith(before) and label.endswith(after)):
            return []
        shared = label[len(before) : len(label) - len(after)]
        # Next to `a.png` there may be another rendering `a_color.png` of the same label.
        parts = shared.split("_")
        keys = ["_".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return [self.image[0] + key + self.image[1] for key in keys]


def labels_without_image(
    records: Iterable[Mapping[str, Any]], *, split: str, missing: Collection[Path] = ()
) -> Iterator[Path]:
    """Label files beside those of a split whose images are not on disk.

    Args:
        records: dataset dicts of the split's whole pairs; labels are looked for in their folders,
            and, where a split has a folder for each sequence, in those of other sequences.
        split: name of the split.
        missing: images that are known to be missing, whose labels are left out.
    """
    folders: dict[Path, Path] = {}
    namings: dict[_Naming, None] = {}
    for record in records:
        image, label = Path(record["file_name"]), Path(record["sem_seg_file_name"])
        folders[label.parent] = image.parent
        if not any(image.stem in naming.images_of(label.name) for naming in namings):
            namings[_Naming.of(image, label)] = None
    names_in = cache(_names_in)
    absent = {path.with_suffix("") for path in missing}
    for labels, images in sorted((folders | _sibling_folders(folders, split)).items()):
        files = (os.path.splitext(name) for name in names_in(images))
        there = {stem for stem, suffix in files if suffix.lower() in IMAGE_SUFFIXES}
        for label_name in sorted(names_in(labels)):
            expected = [stem for naming in namings for stem in naming.images_of(label_name)]
            known = any(images / stem in absent for stem in expected)
            if expected and not known and there.isdisjoint(expected):
                yield labels / label_name


def _sibling_folders(folders: Mapping[Path, Path], split: str) -> dict[Path, Path]:
    parents = {
        labels.parent: images.parent
        for labels, images in folders.items()
        if labels.name == images.name != split
    }
    return {
        labels: images / labels.name
        for parent, images in parents.items()
        for labels in parent.iterdir()
        if labels.is_dir()
    }


def _names_in(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()
