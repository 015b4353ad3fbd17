"""Cityscapes label ids by name, including unscored ones, and the palette of label files.

Scenes are labelled with label ids (0..34), because licence plates and the ego vehicle have
different ids in the files, although both are ignored in training. A table maps them to train ids.
"""

import numpy as np

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.structures.label_encoding import GTA5_LABEL_IDS

IGNORE = CITYSCAPES_19.ignore_label

# Label ids outside the train classes that the generator draws.
VOID = {"unlabeled": 0, "ego vehicle": 1, "out of roi": 3, "static": 4, "license plate": 34}

LABEL_ID: dict[str, int] = VOID | {
    CITYSCAPES_19.names[train]: raw
    for raw, train in GTA5_LABEL_IDS.raw_to_train.items()
    if train != IGNORE
}
GROUND_IDS = tuple(LABEL_ID[name] for name in ("road", "sidewalk", "terrain"))


def to_train_ids(label_ids: np.ndarray) -> np.ndarray:
    """Map label ids (uint8, any shape) to train ids 0..18 and 255, in a new uint8 array."""
    return GTA5_LABEL_IDS.decode(label_ids)


def label_id_palette() -> list[int]:
    """Return the colours of all 256 palette entries as a flat RGB list, as stored in PNG files."""
    palette = np.zeros((256, 3), np.uint8)
    for name, color in zip(CITYSCAPES_19.names, CITYSCAPES_19.colors, strict=True):
        palette[LABEL_ID[name]] = color
    return palette.ravel().tolist()


def colorize(label_ids: np.ndarray) -> np.ndarray:
    """Paint label ids (H, W) in the class colours, (H, W, 3) uint8 RGB; void is black."""
    palette = np.array(label_id_palette(), np.uint8).reshape(-1, 3)
    return palette[label_ids]
