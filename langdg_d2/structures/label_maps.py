"""How the raw label ids of each data set map onto the train ids; the only such tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .label_space import CITYSCAPES_19, CITYSCAPES_IDS

_RAW_VALUES = 1 << 8  # raw labels are 8-bit images


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


_LAST_CITYSCAPES_ID = 33
_GTA5_LICENSE_PLATE_ID = 34
_IGNORE = CITYSCAPES_19.ignore_label
_label_id_to_train = dict.fromkeys(range(_LAST_CITYSCAPES_ID + 1), _IGNORE) | {
    label_id: train_id for train_id, label_id in enumerate(CITYSCAPES_IDS)
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
