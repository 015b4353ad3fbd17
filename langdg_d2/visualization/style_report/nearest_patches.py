"""The patches of a source set whose own statistics lie nearest to given styles."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ...utils.errors import LangDGError
from ..sem_seg import Image
from .distances import pairwise
from .patch_reader import PatchReader

Example = Mapping[str, Any]


class SourcePatch(NamedTuple):
    """A patch of a source image.

    Attributes:
        distance: of its own style from the style it was looked for.
        class_id: its most frequent label.
        image_name: of the file, without folder and suffix.
        picture: (h, w, 3) uint8 RGB.
    """

    distance: float
    class_id: int
    image_name: str
    picture: Image


class Neighbors(NamedTuple):
    """What lies around a style.

    Attributes:
        patches: the nearest ones, the nearest first.
        compared: number of patches that were looked at.
        mean_distance: over all of these; NaN if there was none.
    """

    patches: list[SourcePatch]
    compared: int
    mean_distance: float


class NearestPatches:
    """Keeps, of patches that are shown to it batch by batch, the nearest to each of Q styles.

    Memory holds one batch and the pictures kept, however many patches there are. Of patches at
    the same distance the earlier one counts as nearer.

    Args:
        styles: (Q, 2C) points.
        class_ids: of the styles, to compare each with patches of its own class alone; None to
            compare all with all.
        reader: of the patches.
        count: patches to keep for each style.
        side: pictures are shrunk until neither side has more pixels.

    Raises:
        LangDGError: if count or side is not positive.
    """

    def __init__(
        self,
        *,
        styles: Tensor,
        class_ids: Tensor | None,
        reader: PatchReader,
        count: int,
        side: int,
    ) -> None:
        if count < 1 or side < 1:
            raise LangDGError(f"{count} patches of {side} pixels; both have to be at least 1")
        self._styles = styles
        self._class_ids = class_ids
        self._reader = reader
        self._side = side
        self._distances = torch.full((len(styles), count), math.inf)
        self._numbers = torch.full((len(styles), count), -1)  # of patches, in order of appearance
        self._kept: dict[int, tuple[int, str, Image]] = {}
        self._seen = 0
        self._compared = torch.zeros(len(styles), dtype=torch.long)
        self._sums = torch.zeros(len(styles), dtype=torch.float64)

    def add(self, batch: Sequence[Example]) -> None:
        """Compare the patches of images of one size.

        Args:
            batch: for each image "image" (3, H, W) uint8 RGB, "sem_seg" (H, W) uint8 train ids
                and "file_name".
        """
        points = self._reader.points(torch.stack([example["image"] for example in batch]))
        classes = self._reader.classes(torch.stack([example["sem_seg"] for example in batch]))
        distances = pairwise(self._styles.to(points), points).cpu()
        if self._class_ids is not None:
            distances[self._class_ids[:, None] != classes] = math.inf
        comparable = distances.isfinite()
        self._compared += comparable.sum(dim=1)
        self._sums += distances.double().where(comparable, 0).sum(dim=1)
        first = self._seen
        self._seen += len(classes)
        self._merge(distances, torch.arange(first, self._seen))
        wanted = set(self._numbers[self._distances.isfinite()].tolist())
        self._kept = {number: kept for number, kept in self._kept.items() if number in wanted}
        for number in sorted(wanted - set(self._kept)):
            example, cell = divmod(number - first, self._reader.cells)
            name = Path(batch[example]["file_name"]).stem
            picture = _shrunk(self._reader.picture(batch[example]["image"], cell), self._side)
            self._kept[number] = (int(classes[number - first]), name, picture)

    def result(self) -> list[Neighbors]:
        """What lies around each style, of all that has been added."""
        means = (self._sums / self._compared).tolist()
        return [
            Neighbors(
                [
                    SourcePatch(distance, *self._kept[number])
                    for distance, number in zip(distances, numbers, strict=True)
                    if math.isfinite(distance)
                ],
                compared,
                mean,
            )
            for distances, numbers, compared, mean in zip(
                self._distances.tolist(),
                self._numbers.tolist(),
                self._compared.tolist(),
                means,
                strict=True,
            )
        ]

    def _merge(self, distances: Tensor, numbers: Tensor) -> None:
        distances = torch.cat([self._distances, distances], dim=1)
        numbers = torch.cat([self._numbers, numbers.expand(len(distances), -1)], dim=1)
        # Stable: those kept come first, and their numbers are smaller.
        order = distances.sort(dim=1, stable=True).indices[:, : self._distances.shape[1]]
        self._distances = distances.gather(1, order)
        self._numbers = numbers.gather(1, order)


def _shrunk(picture: Image, side: int) -> Image:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture.copy()  # of the patch alone: a view would keep the whole image in memory
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
