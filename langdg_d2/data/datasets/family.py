"""What the project knows of a data set before looking at a copy on disk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class DatasetFamily:
    """A data set and its splits.

    Attributes:
        name: as in registered names, `<name>_sem_seg_<split>`, and in result tables.
        title: as its authors call it.
        website: where it comes from.
        load: dataset dicts of a split below the folder of the data sets.
        splits: number of images that each split of the published release gives; None where
            that is decided by a list of the user's.
        condition: weather or light: "clear", "fog", "night", "rain", "snow" or "all".
        sizes: (height, width) in pixels that its images may have; None where they vary.
        unlabeled: splits whose labels are not public: images for predictions, to be scored by
            the authors' server.
        same_images_as: name of a family with the same images and other labels, None for none.
        least_pixels: what most images have at least, where `sizes` vary.
        has_many_sizes: whether the images of a whole split are of several sizes.
        image_format: of its images, as Pillow calls it; None where it is not known.
        folders: names of the folders that the images of a split lie in, where they are known.
    """

    name: str
    title: str
    website: str
    load: Callable[[Path, str], list[dict[str, Any]]]
    splits: Mapping[str, int | None]
    condition: str
    sizes: frozenset[tuple[int, int]] | None
    unlabeled: frozenset[str] = frozenset()
    same_images_as: str | None = None
    least_pixels: int | None = None
    has_many_sizes: bool = False
    image_format: str | None = None
    folders: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def registered_name(self, split: str) -> str:
        """Name of a split in Detectron2's catalogs."""
        return f"{self.name}_sem_seg_{split}"
