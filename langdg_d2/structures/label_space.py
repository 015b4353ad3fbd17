"""The 19 Cityscapes train classes, and how each data set's raw label ids map onto them.

This is the only class table of the project: names, colours and raw-id maps are read from here.
Class list, colours and ids: the Cityscapes benchmark (Cordts et al., CVPR 2016).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_RAW_VALUES = 1 << 8  # raw labels are 8-bit images


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


@dataclass(frozen=True)
class LabelEncoding:
    """How the pixels of one kind of label file become train ids.

    Attributes:
        name: how errors and dataset dicts refer to the encoding.
        raw_to_train: train id (or the ignore label) of every raw id that may occur.
    """

    name: str
    raw_to_train: Mapping[int, int]

    @cached_property
    def _table(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        train_ids = np.zeros(_RAW_VALUES, dtype=np.uint8)
        known = np.zeros(_RAW_VALUES, dtype=bool)
        for raw, train in self.raw_to_train.items():
            train_ids[raw], known[raw] = train, True
        return train_ids, known

    def decode(self, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Map raw label ids to train ids.

        Args:
            raw: (H, W) uint8 ids as stored in the file.

        Returns:
            (H, W) uint8 train ids, a new array.

        Raises:
            ValueError: if an id is not part of the encoding; names the ids.
        """
        train_ids, known = self._table
        decoded, valid = train_ids[raw], known[raw]
        if not valid.all():
            raise ValueError(
                f"label ids {np.unique(raw[~valid]).tolist()} are not in the '{self.name}' "
                f"encoding, which knows {sorted(self.raw_to_train)}"
            )
        return decoded


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
_LAST_CITYSCAPES_ID = 33
_GTA5_LICENSE_PLATE_ID = 34

CITYSCAPES_19 = LabelSpace(
    names=tuple(name for name, _, _ in _CLASSES),
    colors=tuple(color for _, color, _ in _CLASSES),
    ignore_label=255,
)

_IGNORE = CITYSCAPES_19.ignore_label
_label_id_to_train = dict.fromkeys(range(_LAST_CITYSCAPES_ID + 1), _IGNORE) | {
    label_id: train_id for train_id, (_, _, label_id) in enumerate(_CLASSES)
}

TRAIN_IDS = LabelEncoding(
    "train ids", {k: k for k in range(len(CITYSCAPES_19))} | {_IGNORE: _IGNORE}
)
# Cityscapes gives licence plates the id -1, which an 8-bit file holds as 255.
CITYSCAPES_LABEL_IDS = LabelEncoding("Cityscapes label ids", _label_id_to_train | {255: _IGNORE})
GTA5_LABEL_IDS = LabelEncoding(
    "GTA5 label ids", _label_id_to_train | {_GTA5_LICENSE_PLATE_ID: _IGNORE}
)

ENCODINGS = {e.name: e for e in (TRAIN_IDS, CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS)}
