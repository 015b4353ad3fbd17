"""Label spaces, and the 19 Cityscapes train classes with their names, colours and ids.

Classes, colours and ids are those of the Cityscapes benchmark (Cordts et al., CVPR 2016).
`label_encoding` defines how data sets encode them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.errors import LangDGError, require_int

_MOST_CLASSES = 255  # of 8-bit label maps, which also hold the ignore label
_LEVELS = 7  # levels of red, green and blue in generated colours


@dataclass(frozen=True, init=False)
class LabelSpace:
    """List of classes; train id `k` is the k-th entry of every tuple.

    Attributes:
        names: 1 to 255 distinct class names, used in prompts and tables.
        colors: display colours, RGB in 0..255; generated if not given.
        ignore_label: train id of pixels that belong to no class.
        ids: id of each class in prediction files of the kind "label_ids"; None for none.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_label: int
    ids: tuple[int, ...] | None

    def __init__(
        self,
        names: Sequence[str],
        colors: Sequence[Sequence[int]] | None = None,
        ignore_label: int = 255,
        ids: Sequence[int] | None = None,
    ) -> None:
        is_list = not isinstance(names, str) and 1 <= len(names) <= _MOST_CLASSES
        if not is_list or not all(isinstance(name, str) and name for name in names):
            raise LangDGError(f"class names {names!r}, expected 1 to {_MOST_CLASSES} texts")
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise LangDGError(
                f"several classes have the names {twice}; give each class its own name"
            )
        if colors is None:
            colors = _distinct_colors(len(names))
        for what, entries in (("colours", colors), ("ids", ids)):
            if entries is not None and len(entries) != len(names):
                raise LangDGError(
                    f"{len(names)} class names, but {len(entries)} {what}; expected one per class"
                )
        parts = [part for color in colors for part in color]
        if {*map(len, colors)} != {3} or not all(type(k) is int and 0 <= k <= 255 for k in parts):
            raise LangDGError(f"class colours {colors}, expected (red, green, blue) in 0..255")
        if ids is not None and not all(type(one) is int and one >= 0 for one in ids):
            raise LangDGError(f"class ids {ids}, expected whole numbers from 0")
        require_int("ignore_label", ignore_label, 0, _MOST_CLASSES)  # labels are uint8
        if ignore_label < len(names):
            raise LangDGError(
                f"ignore_label {ignore_label} is the train id of '{names[ignore_label]}'; choose "
                f"one outside 0..{len(names) - 1}"
            )
        entries = tuple((red, green, blue) for red, green, blue in colors)
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "colors", entries)
        object.__setattr__(self, "ignore_label", ignore_label)
        object.__setattr__(self, "ids", None if ids is None else tuple(ids))

    def __len__(self) -> int:
        return len(self.names)

    def plain(self) -> dict[str, Any]:
        """Constructor arguments as lists, strings and numbers."""
        return {
            "names": list(self.names),
            "colors": [list(color) for color in self.colors],
            "ignore_label": self.ignore_label,
            "ids": None if self.ids is None else list(self.ids),
        }


def _distinct_colors(count: int) -> list[tuple[int, int, int]]:
    """Generate colours, each as far as possible from earlier ones and from black and white."""
    levels = np.linspace(0, 255, _LEVELS).round().astype(int)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    distance = np.minimum(*(np.abs(candidates - grey).sum(axis=1) for grey in (0, 255)))
    colors = []
    for _ in range(count):
        red, green, blue = color = candidates[distance.argmax()]
        distance = np.minimum(distance, np.abs(candidates - color).sum(axis=1))
        colors.append((int(red), int(green), int(blue)))
    return colors


# Name, colour and Cityscapes id of each class, in the order of the train ids.
_CLASSES = (
    ("road", (128, 64, 128), 7),
    ("sidewalk", (244, 35, 232), 8),
    ("building", (70, 70, 70), 11),
    ("wall", (102, 102, 156), 12),
    ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17),
    ("traffic light", (250, 170, 30), 19),
    ("traffic sign", (220, 220, 0), 20),
    ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22),
    ("sky", (70, 130, 180), 23),
    ("person", (220, 20, 60), 24),
    ("rider", (255, 0, 0), 25),
    ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27),
    ("bus", (0, 60, 100), 28),
    ("train", (0, 80, 100), 31),
    ("motorcycle", (0, 0, 230), 32),
    ("bicycle", (119, 11, 32), 33),
)

CITYSCAPES_IDS = tuple(label_id for _, _, label_id in _CLASSES)

CITYSCAPES_19 = LabelSpace(
    names=tuple(name for name, _, _ in _CLASSES),
    colors=tuple(color for _, color, _ in _CLASSES),
    ignore_label=255,
    ids=CITYSCAPES_IDS,
)


def _classes_without(*left_out: str) -> tuple[str, ...]:
    return tuple(name for name in CITYSCAPES_19.names if name not in left_out)


# Subsets that mIoU averages over: all classes; those frequent in SYNTHIA; and those that SYNTHIA
# also labels like other data sets. Models always predict all 19.
CLASS_SUBSETS: dict[str, tuple[str, ...]] = {
    "19": _classes_without(),
    "16": _classes_without("terrain", "truck", "train"),
    "13": _classes_without("terrain", "truck", "train", "wall", "fence", "pole"),
}


def classes_named(names: Sequence[str]) -> LabelSpace:
    """Return the Cityscapes classes if the names match, else classes with generated colours."""
    return CITYSCAPES_19 if tuple(names) == CITYSCAPES_19.names else LabelSpace(names)


def class_subsets(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return `CLASS_SUBSETS` for the Cityscapes classes, and no subsets for others."""
    return CLASS_SUBSETS if tuple(names) == CITYSCAPES_19.names else {}
