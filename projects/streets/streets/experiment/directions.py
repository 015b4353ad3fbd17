"""Do mined styles lie where their texts say? Their shifts from the source against those of looks.

A style is a point: mean and standard deviation of every channel. A look moves the patches of a
class away from where they lie in the source, and so does mining. The cosine of the two shifts says
whether text points to the look, their lengths whether it goes as far.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from langdg_d2.styles import StyleBank
from langdg_d2.visualization.styles import PatchReader, style_points

_FEWEST_PATCHES = 5  # of a class, for a mean that says something


class Patches(NamedTuple):
    """Patches of images.

    Attributes:
        points: (P, D) their own statistics.
        class_ids: (P,) uint8, the most frequent label of each.
    """

    points: Tensor
    class_ids: Tensor


class Directions(NamedTuple):
    """Shifts of S styles, and of looks, from the source.

    Lengths are in standard deviations of the source's patches; dimensions in which these do not
    differ are left out. What is unknown, since a class has too few patches, is NaN.

    Attributes:
        cosines: look to (S,) cosines of each style's shift and the look's shift of its class.
        lengths: (S,) of the styles' shifts.
        look_lengths: look to the mean length of its classes' shifts.
    """

    cosines: dict[str, Tensor]
    lengths: Tensor
    look_lengths: dict[str, float]


def read_patches(scenes: Iterable[list[dict[str, Any]]], reader: PatchReader) -> Patches:
    """The patches of a test loader's scenes."""
    examples = [example for batch in scenes for example in batch]
    labels = [example["sem_seg"][None].to(torch.uint8) for example in examples]
    return Patches(
        points=torch.cat([reader.points(example["image"][None]) for example in examples]),
        class_ids=torch.cat([reader.classes(label) for label in labels]),
    )


def directions(bank: StyleBank, source: Patches, looks: Mapping[str, Patches]) -> Directions:
    """Compare every style of a bank with the same class in every look.

    Args:
        bank: mined in patches of the size of these.
        source: patches of the source.
        looks: patches of other looks, by name.
    """
    labels = bank.header.labels.values()
    spread = source.points.std(dim=0)
    # A channel that is zero in all of the source has no unit to measure with.
    units = torch.where(spread > 0, 1 / spread, 0)
    origin, of_class = _class_means(source, labels), bank.class_id.long()
    shifts = (style_points(bank.mean, bank.std) - origin[of_class]) * units
    looked = {name: (_class_means(look, labels) - origin) * units for name, look in looks.items()}
    return Directions(
        cosines={
            name: cosine_similarity(shifts, shift[of_class], dim=1)
            for name, shift in looked.items()
        },
        lengths=shifts.norm(dim=1),
        look_lengths={name: float(shift.norm(dim=1).nanmean()) for name, shift in looked.items()},
    )


def _class_means(patches: Patches, labels: Iterable[int]) -> Tensor:
    """(L, D) mean point of every label, NaN for those with too few patches or none."""
    means = patches.points.new_full((max(labels) + 1, patches.points.shape[1]), torch.nan)
    for label in patches.class_ids.unique().tolist():
        own = patches.points[patches.class_ids == label]
        if len(own) >= _FEWEST_PATCHES:
            means[label] = own.mean(dim=0)
    return means
