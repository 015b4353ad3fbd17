"""The 19 Cityscapes train classes: their names, colours and ids.

This is the only class table of the project; `label_maps` says how data sets encode them.
Class list, colours and ids: the Cityscapes benchmark (Cordts et al., CVPR 2016).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelSpace:
    """A list of classes; train id `k` is the k-th entry of every tuple.

    Attributes:
        names: class names, as they appear in prompts and tables.
        colors: display colours, RGB in 0..255.
        ignore_label: train id of pixels that belong to no class.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_label: int

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(
                f"LabelSpace needs one colour per class, got {len(self.names)} names "
                f"and {len(self.colors)} colours"
            )
        if 0 <= self.ignore_label < len(self.names):
            raise ValueError(
                f"ignore_label {self.ignore_label} is the train id of "
                f"'{self.names[self.ignore_label]}'; choose one outside 0..{len(self.names) - 1}"
            )

    def __len__(self) -> int:
        return len(self.names)


# Class, colour and id in Cityscapes' own numbering, in the order of the train ids.
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

CITYSCAPES_19 = LabelSpace(
    names=tuple(name for name, _, _ in _CLASSES),
    colors=tuple(color for _, color, _ in _CLASSES),
    ignore_label=255,
)

# Cityscapes' own number of every class, in the order of the train ids.
CITYSCAPES_IDS = tuple(label_id for _, _, label_id in _CLASSES)


def _classes_without(*left_out: str) -> tuple[str, ...]:
    return tuple(name for name in CITYSCAPES_19.names if name not in left_out)


# Which classes means are taken over: all; those that SYNTHIA has in any number; and those left
# when the ones that it draws unlike the others are taken away too. Networks always have all 19.
CLASS_SUBSETS: dict[str, tuple[str, ...]] = {
    "19": _classes_without(),
    "16": _classes_without("terrain", "truck", "train"),
    "13": _classes_without("terrain", "truck", "train", "wall", "fence", "pole"),
}
