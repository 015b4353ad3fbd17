"""Reading label files: PNG images of ids, checked against the encoding of their data set.

Programs that store images without loss sort and shorten palettes, and store grey images of few
values as palettes. So the indices of a palette image do not say by themselves which ids they are:

1. Colours of the data set at their own ids: the indices are the ids.
2. Grey colours: the grey values are the ids.
3. Colours of the data set elsewhere, each of a single class: the colours determine the ids.

Palettes that fit no rule, or for which rules 2 and 3 disagree, are refused.
"""

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from detectron2.utils.logger import log_first_n

from ..structures import CITYSCAPES_19, ENCODINGS, LabelEncoding
from ..structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_A,
    MAPILLARY_B,
    NO_COLOR,
    SYNTHIA_LABEL_IDS,
    TRAIN_IDS,
    URBANSYN_TRAIN_IDS,
    train_id_encoding,
)
from ..utils.errors import LangDGError
from .image_io import ImageFileError, check_png, decode_full_depth, opened, stored_as

# Encodings that ids are guessed for; encodings of users are not among them.
RAW_ID_ENCODINGS = (
    *(CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS),
    *(SYNTHIA_LABEL_IDS, MAPILLARY_A, MAPILLARY_B),
)
TRAIN_ID_ENCODINGS = (TRAIN_IDS, URBANSYN_TRAIN_IDS)
# Ids of 18 and below may be train ids or raw ids. Raw ids of common classes (vegetation, sky, car)
# are higher, so from this share of pixels without a class on they are likely train ids.
_LARGE = 0.25
_STEP = 8  # of the rows and columns in which every label is searched for train ids
_INDICES = 1 << 8
# Greys that ids without a class may have, unless a class of the data set has them.
_NEUTRAL = ((0, 0, 0), (255, 255, 255))


class LabelFormatError(ImageFileError):
    """A label file is an image, but not one that holds ids as its data set stores them."""


def encoding_of(record: Mapping[str, Any]) -> LabelEncoding:
    """How the label file of a dataset dict holds its classes.

    `label_encoding` is an encoding, or the name of one in `structures.ENCODINGS`. Dataset dicts
    without it, as Detectron2's own loaders give them, have train ids: of the classes
    `stuff_classes` and with the `ignore_label` that `registered_dicts` adds from the metadata,
    else Cityscapes' train ids.
    """
    name = record.get("label_encoding")
    if isinstance(name, LabelEncoding):
        return name
    if name is None:
        ignored = record.get("ignore_label", CITYSCAPES_19.ignore_label)
        return train_id_encoding(record.get("stuff_classes", CITYSCAPES_19.names), ignored)
    if name not in ENCODINGS:
        raise LangDGError(
            f"label_encoding '{name}' of '{record['sem_seg_file_name']}' is unknown, expected one "
            f"of {list(ENCODINGS)}; labels of train ids need none"
        )
    return ENCODINGS[name]


def read_train_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.uint8]:
    """A label file as (H, W) uint8 train ids.

    Args:
        file_name: 8-bit grey PNG of ids; palette PNG, see above; or a 16-bit colour PNG where the
            ids are in one of its channels.
        encoding: what its values mean, and which kind it is.

    Raises:
        ImageFileError: if the file is missing, truncated, of another format, or holds an id that
            the encoding does not know.
    """
    raw = read_raw_ids(file_name, encoding)
    # Train ids are valid raw ids of other classes, so that decoding them is not an error.
    if encoding in RAW_ID_ENCODINGS:
        kind = content_of(raw[::_STEP, ::_STEP], encoding).kind
        if kind is IdKind.PERHAPS_TRAIN_IDS:
            log_first_n(
                logging.WARNING,
                f"'{file_name}' holds {kind.value}, to be read as {encoding.name}; "
                "check_dataset.py looks at all labels",
                key="message",
            )
    try:
        return encoding.decode(raw)
    except LangDGError as error:
        kind = content_of(raw, encoding).kind
        hint = "" if kind is IdKind.UNKNOWN else f"; it seems to hold {kind.value}"
        raise ImageFileError(f"label file '{file_name}': {error}{hint}") from error


def read_raw_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.unsignedinteger]:
    """The ids of a label file, (H, W); arguments and errors of `read_train_ids`."""
    # Grey values of fewer than 8 bits are refused, as programs differ in whether they stretch
    # them; so are other formats, whose compression may make up ids.
    is_wide = encoding.channel is not None
    expected = "16-bit RGB PNG" if is_wide else "8-bit grey or palette PNG"
    with opened(file_name) as (file, image):
        stored = stored_as(image)
        if is_wide:
            fits = stored == expected
        else:
            fits = stored == "8-bit grey PNG" or stored.endswith(" palette PNG")
        if not fits:
            raise LabelFormatError(
                f"label file '{file_name}' is {stored}, expected {expected}: use the original "
                "file, not a colour rendering or a conversion"
            )
        raw = decode_full_depth(file) if is_wide else np.array(image)
        check_png(file, image)
        palette = image.getpalette("RGB") if image.mode == "P" else None
    if encoding.channel is not None:
        return np.ascontiguousarray(raw[..., encoding.channel])
    if palette is None:
        return raw
    try:
        return _ids_of_indices(raw, np.reshape(palette, (-1, 3)), encoding)
    except LangDGError as error:
        raise LabelFormatError(f"label file '{file_name}': {error}") from error


def _ids_of_indices(
    indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.integer], encoding: LabelEncoding
) -> npt.NDArray[np.uint8]:
    """Raw ids of a palette image.

    Args:
        indices: (H, W) as stored.
        palette: (N, 3) RGB colours, N at most 256.
        encoding: what raw ids mean, and their colours.

    Returns:
        (H, W); the argument itself where the indices are the ids.
    """
    colors = np.full((_INDICES, 3), NO_COLOR)
    colors[: len(palette)] = palette
    usual = _is_usual(colors, encoding)
    if encoding.colors and usual[sorted(encoding.colors)].all():
        return indices  # the data set's full palette, as in nearly all files
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=_INDICES))
    if encoding.colors and usual[used].all():
        return indices
    by_color = [_id_of_color(color, encoding) for color in colors[used]]
    # Optimised files: grey images stored as palettes, and palettes that were renumbered.
    if encoding.colors:
        is_grey = (colors[used] == colors[used, :1]).all()
        readings = [colors[used, 0].tolist()] if is_grey else []
        readings.append(by_color)
    elif (palette == palette[:, :1]).all():
        readings = [colors[used, 0].tolist(), used.tolist()]
    else:
        return indices  # colours of one's own
    known = [ids for ids in readings if set(ids) <= set(encoding.raw_to_train)]
    if not (known or encoding.colors):
        return indices  # decoding names the ids
    # Both readings may stand if they give the same classes.
    if len({tuple(encoding.raw_to_train[raw] for raw in ids) for ids in known}) != 1:
        index = used[by_color.index(NO_COLOR) if NO_COLOR in by_color else 0]
        color = tuple(colors[index].tolist())
        found = "no colour" if NO_COLOR in color else f"the colour {color}"
        raise LangDGError(
            f"its palette is not that of {encoding.name}, and its index {index} has {found}: "
            "nothing says which id is meant. Use the original file; if the indices are the ids, "
            "store them as a grey image"
        )
    table = np.zeros(_INDICES, np.uint8)
    table[used] = known[0]
    return table[indices]


def _is_usual(colors: npt.NDArray[np.integer], encoding: LabelEncoding) -> npt.NDArray[np.bool_]:
    """(256,) whether each index has a colour that the id of the same number may have.

    Ids without a class may have any colour but those of classes and greys, which may be ids.
    """
    is_ignored = encoding.table == CITYSCAPES_19.ignore_label
    of_classes = encoding.color_table[~is_ignored]
    of_class = (colors[:, None] == of_classes).all(axis=2).any(axis=1)
    neutral = np.logical_or.reduce([(colors == color).all(axis=1) for color in _NEUTRAL])
    free = ~of_class & (neutral | (colors != colors[:, :1]).any(axis=1))
    own = (colors == encoding.color_table).all(axis=1)
    return np.asarray((own | (free & is_ignored)) & (colors[:, 0] != NO_COLOR))


def _id_of_color(color: npt.NDArray[np.integer], encoding: LabelEncoding) -> int:
    """An id with this colour; `NO_COLOR` if there is none, or if it is of several classes."""
    ids = np.flatnonzero((encoding.color_table == color).all(axis=1)).tolist()
    is_clear = NO_COLOR not in color and len({encoding.raw_to_train[raw] for raw in ids}) == 1
    return ids[0] if is_clear else NO_COLOR


class IdKind(Enum):
    """What a label holds, read with the encoding of its data set; the values are for messages."""

    FITTING = "ids of the data set"
    NO_CLASS = "no pixel of a class"
    UNKNOWN = "ids that its encoding does not have"
    TRAIN_IDS = "train ids where raw ids belong"
    PERHAPS_TRAIN_IDS = "what may be train ids where raw ids belong"
    RAW_IDS = "Cityscapes' raw ids where train ids belong"


class LabelContent(NamedTuple):
    """What a label holds.

    Attributes:
        present: raw ids that occur.
        unknown: those of them that the encoding does not have.
        pixels: (K + 1,) pixels of each class, then of what is ignored or unknown. K is 19, or more
            where the encoding has more classes.
        kind: kind of its ids; one of a mistake if there are unknown ones.
    """

    present: list[int]
    unknown: list[int]
    pixels: npt.NDArray[np.int64]
    kind: IdKind


def content_of(raw: npt.NDArray[np.unsignedinteger], encoding: LabelEncoding) -> LabelContent:
    """What the raw ids of a label (H, W) are, read with an encoding."""
    by_raw_id = np.bincount(raw.ravel())
    present: list[int] = np.flatnonzero(by_raw_id).tolist()
    unknown = sorted({*present} - {*encoding.raw_to_train})
    ignored = CITYSCAPES_19.ignore_label
    pixels = np.zeros(max(len(CITYSCAPES_19), encoding.num_classes) + 1, dtype=np.int64)
    for raw_id in present:
        train_id = encoding.raw_to_train.get(raw_id, ignored)
        pixels[-1 if train_id == ignored else train_id] += by_raw_id[raw_id]

    like_train_ids = encoding in RAW_ID_ENCODINGS and {*present} <= {
        *URBANSYN_TRAIN_IDS.raw_to_train
    }
    like_raw_ids = encoding in TRAIN_ID_ENCODINGS and {*present} <= {
        *CITYSCAPES_LABEL_IDS.raw_to_train
    }
    kind = IdKind.FITTING
    if unknown and like_raw_ids:
        kind = IdKind.RAW_IDS
    elif unknown:
        kind = IdKind.TRAIN_IDS if like_train_ids else IdKind.UNKNOWN
    elif pixels[-1] == pixels.sum():
        kind = IdKind.NO_CLASS
    elif like_train_ids and pixels[-1] >= _LARGE * pixels.sum():
        kind = IdKind.PERHAPS_TRAIN_IDS
    return LabelContent(present, unknown, pixels, kind)
