"""What the ids in label files say of the files: that they fit, or what they hold instead."""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

from ..structures import CITYSCAPES_19, LabelEncoding
from ..structures.label_maps import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_A,
    MAPILLARY_B,
    SYNTHIA_LABEL_IDS,
    TRAIN_IDS,
    URBANSYN_TRAIN_IDS,
)

# Guesses are about these; nothing is known of encodings of one's own.
_OF_RAW_IDS = (
    *(CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS),
    *(SYNTHIA_LABEL_IDS, MAPILLARY_A, MAPILLARY_B),
)
_OF_TRAIN_IDS = (TRAIN_IDS, URBANSYN_TRAIN_IDS)
_LARGE = 0.5  # share of pixels without a class; train ids read as raw ids leave about as many
_INTERPOLATED = 0.1  # share of the pixels at borders
_MOST_IDS = 8  # in a message
# Road, building, vegetation, sky and car: in any street there is more of each than of the class
# whose id follows, but for one of them now and then.
_COMMON = (0, 2, 8, 10, 13)


class IdKind(Enum):
    """What a label holds, read with the encoding of its data set; the values are for messages."""

    FITTING = "ids of the data set"
    NO_CLASS = "no pixel of a class"
    UNKNOWN = "ids that its encoding does not have"
    TRAIN_IDS = "train ids where raw ids belong"
    PERHAPS_TRAIN_IDS = "what may be train ids where raw ids belong"
    RAW_IDS = "Cityscapes' raw ids where train ids belong"


def count_pixels(
    raw: npt.NDArray[np.unsignedinteger], encoding: LabelEncoding
) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Raw ids that occur in a label (H, W), and the pixels of each train id.

    Returns:
        The ids, and counts (K + 1,): pixels of the classes, then of what is ignored or unknown. K
        is 19, or more where the encoding has more classes.
    """
    by_raw_id = np.bincount(raw.ravel())
    present: list[int] = np.flatnonzero(by_raw_id).tolist()
    ignored = CITYSCAPES_19.ignore_label
    classes = max(len(CITYSCAPES_19), encoding.num_classes)
    pixels = np.zeros(classes + 1, dtype=np.int64)
    for raw_id in present:
        train_id = encoding.raw_to_train.get(raw_id, ignored)
        pixels[-1 if train_id == ignored else train_id] += by_raw_id[raw_id]
    return present, pixels


def kind_of_ids(
    present: Sequence[int], pixels: npt.NDArray[np.int64], encoding: LabelEncoding
) -> IdKind:
    """What a label holds, from `count_pixels`."""
    if not set(present) <= set(encoding.raw_to_train):
        if encoding in _OF_TRAIN_IDS and _only(present, CITYSCAPES_LABEL_IDS.raw_to_train):
            return IdKind.RAW_IDS
        if encoding in _OF_RAW_IDS and _only(present, TRAIN_IDS.raw_to_train):
            return IdKind.TRAIN_IDS
        return IdKind.UNKNOWN
    if pixels[-1] == pixels.sum():
        return IdKind.NO_CLASS
    ignored = pixels[-1] / pixels.sum()
    if encoding in _OF_RAW_IDS and _only(present, TRAIN_IDS.raw_to_train) and ignored >= _LARGE:
        return IdKind.PERHAPS_TRAIN_IDS
    return IdKind.FITTING


def are_train_ids_alone(present: Collection[int], encoding: LabelEncoding) -> bool:
    """Whether raw ids of many labels lie where train ids do.

    In labels of streets that cannot be: sky, vegetation and cars have higher raw ids, but for
    SYNTHIA's, which are never judged here.
    """
    known = {*TRAIN_IDS.raw_to_train, len(CITYSCAPES_19)}  # which some use for no class
    return encoding in _OF_RAW_IDS and encoding != SYNTHIA_LABEL_IDS and {*present} <= known


def may_be_one_based(pixels: npt.NDArray[np.int64], encoding: LabelEncoding) -> bool:
    """Whether many labels, counted by `count_pixels`, seem to hold train ids plus one.

    Their road is then read as sidewalk and what has no class as road, without an unknown id.
    """
    rarer = sum(2 * pixels[k] < pixels[k + 1] for k in _COMMON)
    return encoding in _OF_TRAIN_IDS and bool(rarer >= len(_COMMON) - 1)


def count_between(raw: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.int64]:
    """Pixels of a label whose id lies between those to their left and right; borders; all pixels.

    Returns:
        (3,): those between, those whose neighbours differ, all that have two neighbours.
    """
    left, middle, right = raw[:, :-2], raw[:, 1:-1], raw[:, 2:]
    between = ((left < middle) & (middle < right)) | ((left > middle) & (middle > right))
    return np.array([between.sum(), (left != right).sum(), between.size])


def may_be_interpolated(between: npt.NDArray[np.int64]) -> bool:
    """Whether many labels, of `count_between`, seem to be resized by weighted means of ids.

    Such means are 12 to 50 % of the pixels at borders; poles and the like are up to 3 %, and 5 %
    in images 150 pixels wide. Where most pixels are at borders nothing is said.
    """
    inside, borders, total = between
    return bool(inside > _INTERPOLATED * borders and borders < total / 2)


def ids_text(ids: Sequence[int]) -> str:
    """Ids for a message, shortened."""
    shown = ", ".join(str(k) for k in ids[:_MOST_IDS])
    return f"{shown}, ... ({len(ids)} ids)" if len(ids) > _MOST_IDS else shown


def _only(present: Sequence[int], known: Mapping[int, int]) -> bool:
    return set(present) <= set(known)
