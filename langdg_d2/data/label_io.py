"""Reading of label files: PNG images of ids, checked against the encoding of their data set.

Programs that optimise PNG files sort and shorten palettes, and store grey images with few values as
palettes. The indices of a palette image are therefore not always the ids:

1. If ids have the colours of the data set at their indices, the indices are the ids.
2. If the colours are grey, the grey values are the ids.
3. If colours of the data set are at other indices, and each belongs to a single class, the colours
   determine the ids.

Palettes that match no rule, or for which rules 2 and 3 disagree, are refused.
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

# Encodings whose ids are checked for plausibility; those of users are not.
RAW_ID_ENCODINGS = (
    *(CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS),
    *(SYNTHIA_LABEL_IDS, MAPILLARY_A, MAPILLARY_B),
)
TRAIN_ID_ENCODINGS = (TRAIN_IDS, URBANSYN_TRAIN_IDS)
# Ids up to 18 may be train ids or raw ids. Raw ids of common classes (vegetation, sky, car) are
# higher, so ids are likely train ids if this share of pixels has no class.
_LARGE = 0.25
_STEP = 8  # of rows and columns in which labels are searched for train ids
_INDICES = 1 << 8
# Greys that ids without a class may have, unless a class of the data set uses them.
_NEUTRAL = ((0, 0, 0), (255, 255, 255))


class LabelFormatError(ImageFileError):
    """A label file is an image, but does not store ids like its data set."""


def encoding_of(record: Mapping[str, Any]) -> LabelEncoding:
    """Return the encoding of the label file of a dataset dict.

    `label_encoding` is an encoding or the name of one in `structures.ENCODINGS`. Dataset dicts
    without it, such as those of Detectron2, have train ids. Their classes are `stuff_classes`, with
    the `ignore_label`, which `registered_dicts` adds from the metadata, or else Cityscapes'
    classes.
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
    """Read a label file as (H, W) uint8 train ids.

    Args:
        file_name: 8-bit grey PNG of ids, palette PNG (see above), or 16-bit colour PNG with the ids
            in one of its channels.
        encoding: encoding of the file.

    Raises:
        ImageFileError: if the file is missing, truncated or of another format, or contains an id
            that is not in the encoding.
    """
    raw = read_raw_ids(file_name, encoding)
    # Train ids are valid raw ids of other classes, so decoding them would not fail.
    if encoding in RAW_ID_ENCODINGS:
        kind = content_of(raw[::_STEP, ::_STEP], encoding).kind
        if kind is IdKind.PERHAPS_TRAIN_IDS:
            log_first_n(
                logging.WARNING,
                f"'{file_name}' contains {kind.value}, but is read as {encoding.name}; "
                "check_dataset.py checks all labels",
                key="message",
            )
    try:
        return encoding.decode(raw)
    except LangDGError as error:
        kind = content_of(raw, encoding).kind
        hint = "" if kind is IdKind.UNKNOWN else f"; it seems to contain {kind.value}"
        raise ImageFileError(f"label file '{file_name}': {error}{hint}") from error


def read_raw_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.unsignedinteger]:
    """Read the raw ids (H, W) of a label file; arguments and errors as in `read_train_ids`."""
    # Grey values of fewer than 8 bits are refused, because only some programs scale them. Other
    # formats are refused, because lossy compression may change ids.
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
    """Compute the raw ids of a palette image.

    Args:
        indices: (H, W) as stored.
        palette: (N, 3) RGB colours, N at most 256.
        encoding: encoding with the colours of raw ids.

    Returns:
        (H, W); the argument itself if the indices are the ids.
    """
    colors = np.full((_INDICES, 3), NO_COLOR)
    colors[: len(palette)] = palette
    usual = _is_usual(colors, encoding)
    if encoding.colors and usual[sorted(encoding.colors)].all():
        return indices  # the full palette of the data set, as in nearly all files
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=_INDICES))
    if encoding.colors and usual[used].all():
        return indices
    by_color = [_id_of_color(color, encoding) for color in colors[used]]
    # Optimised files: grey images stored as palettes, and renumbered palettes.
    if encoding.colors:
        is_grey = (colors[used] == colors[used, :1]).all()
        readings = [colors[used, 0].tolist()] if is_grey else []
        readings.append(by_color)
    elif (palette == palette[:, :1]).all():
        readings = [colors[used, 0].tolist(), used.tolist()]
    else:
        return indices  # colours of the user
    known = [ids for ids in readings if set(ids) <= set(encoding.raw_to_train)]
    if not (known or encoding.colors):
        return indices  # decoding reports the ids
    # Both readings are valid if they give the same classes.
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
    """(256,) whether each index has a colour that the same id may have.

    Ids without a class may have any colour except those of classes and greys, which may be ids.
    """
    is_ignored = encoding.table == CITYSCAPES_19.ignore_label
    of_classes = encoding.color_table[~is_ignored]
    of_class = (colors[:, None] == of_classes).all(axis=2).any(axis=1)
    neutral = np.logical_or.reduce([(colors == color).all(axis=1) for color in _NEUTRAL])
    free = ~of_class & (neutral | (colors != colors[:, :1]).any(axis=1))
    own = (colors == encoding.color_table).all(axis=1)
    return np.asarray((own | (free & is_ignored)) & (colors[:, 0] != NO_COLOR))


def _id_of_color(color: npt.NDArray[np.integer], encoding: LabelEncoding) -> int:
    """Return an id with this colour; `NO_COLOR` for none or for several classes."""
    ids = np.flatnonzero((encoding.color_table == color).all(axis=1)).tolist()
    is_clear = NO_COLOR not in color and len({encoding.raw_to_train[raw] for raw in ids}) == 1
    return ids[0] if is_clear else NO_COLOR


class IdKind(Enum):
    """Kind of the ids in a label; the values are used in messages."""

    FITTING = "ids of the data set"
    NO_CLASS = "no pixel of a class"
    UNKNOWN = "ids that its encoding does not have"
    TRAIN_IDS = "train ids instead of raw ids"
    PERHAPS_TRAIN_IDS = "possible train ids instead of raw ids"
    RAW_IDS = "Cityscapes' raw ids instead of train ids"


class LabelContent(NamedTuple):
    """Content of a label.

    Attributes:
        present: raw ids that occur.
        unknown: raw ids that occur but are not in the encoding.
        pixels: (K + 1,) number of pixels of each class, then of ignored and unknown ids. K is 19,
            or more if the encoding has more classes.
        kind: kind of the ids; a kind of error if some are unknown.
    """

    present: list[int]
    unknown: list[int]
    pixels: npt.NDArray[np.int64]
    kind: IdKind


def content_of(raw: npt.NDArray[np.unsignedinteger], encoding: LabelEncoding) -> LabelContent:
    """Analyse the raw ids (H, W) of a label with an encoding."""
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
