"""Reading label files: PNG images of ids, checked against the encoding of their data set.

Programs that store images without loss sort and shorten palettes, and store grey images of few
values as palettes, so that indices of palette images alone are ambiguous. These rules
resolve them:

1. Colours of the data set at their own ids: the indices are the ids.
2. Grey colours: the grey values are the ids.
3. Colours of the data set elsewhere, each of one class alone: the colours determine the ids.

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
# Share of pixels without a class from which on a label with no id above 18, as raw vegetation, sky
# and car have, is likely to hold train ids.
_LARGE = 0.25

_STEP = 8  # of the rows and columns that every label is looked at in for train ids

_INDICES = 1 << 8
# Greys of ids without a class, unless a class of the data set has them.
_NEUTRAL = ((0, 0, 0), (255, 255, 255))


class LabelFormatError(ImageFileError):
    """A label file is an image, but not one that holds ids as its data set stores them."""


def encoding_of(record: Mapping[str, Any]) -> LabelEncoding:
    """How the label file of a dataset dict holds its classes.

    `label_encoding` names an encoding of `structures.ENCODINGS`. Dataset dicts without it, as
    Detectron2's own loaders give them, have train ids: of the classes `stuff_classes` and with the
    `ignore_label` that `registered_dicts` adds from the metadata, else Cityscapes' train ids.

    Raises:
        LangDGError: if the name of the encoding is unknown.
    """
    name = record.get("label_encoding")
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
    with opened(file_name) as (file, image):
        if fault := format_fault(stored_as(image), encoding):
            raise LabelFormatError(
                f"label file '{file_name}' is {fault}: use the original file, not a colour "
                "rendering or a conversion"
            )
        wide = encoding.channel is not None
        raw = decode_full_depth(file) if wide else np.array(image)
        check_png(file, image)
        palette = image.getpalette("RGB") if image.mode == "P" else None
    if encoding.channel is not None:
        return np.ascontiguousarray(raw[..., encoding.channel])
    if palette is None:
        return raw
    try:
        return ids_of_indices(raw, np.reshape(palette, (-1, 3)), encoding)
    except LangDGError as error:
        raise LabelFormatError(f"label file '{file_name}': {error}") from error


def format_fault(stored: str, encoding: LabelEncoding) -> str | None:
    """What a label file is and should be, from `stored_as`; None if it is that.

    Grey values of fewer than 8 bits are refused, as programs differ in whether they stretch them;
    so are other formats, whose compression may make up ids.
    """
    if encoding.channel is not None:
        expected = "16-bit RGB PNG"
        fits = stored == expected
    else:
        expected = "8-bit grey or palette PNG"
        fits = stored == "8-bit grey PNG" or stored.endswith(" palette PNG")
    return None if fits else f"{stored}, expected {expected}"


def ids_of_indices(
    indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.integer], encoding: LabelEncoding
) -> npt.NDArray[np.uint8]:
    """Raw ids of a palette image.

    Args:
        indices: (H, W) as stored.
        palette: (N, 3) RGB colours, N at most 256.
        encoding: what raw ids mean, and their colours.

    Returns:
        (H, W); the argument itself where the indices are the ids.

    Raises:
        LangDGError: if the palette leaves open which ids are meant; names an index and its colour.
    """
    colors = np.full((_INDICES, 3), NO_COLOR)
    colors[: len(palette)] = palette
    usual = _is_usual(colors, encoding)
    if usual[sorted(encoding.colors)].all() and encoding.colors:
        # Fast path: the full palette of the data set.
        return indices
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=_INDICES))
    if encoding.colors and usual[used].all():
        return indices
    readings = [] if (colors[used] != colors[used, :1]).any() else [colors[used, 0].tolist()]
    if encoding.colors:
        readings.append([_id_of_color(color, encoding) for color in colors[used]])
    elif not readings:
        return indices
    known = [ids for ids in readings if set(ids) <= set(encoding.raw_to_train)]
    meanings = {tuple(encoding.raw_to_train[raw] for raw in ids) for ids in known}
    if len(meanings) != 1:
        index = next((k for k in used if _id_of_color(colors[k], encoding) == NO_COLOR), used[0])
        color = (
            "no colour"
            if NO_COLOR in colors[index]
            else f"the colour {tuple(colors[index].tolist())}"
        )
        raise LangDGError(
            f"its palette is not that of {encoding.name}, and its index {index} has {color}: "
            "nothing says which id is meant. Use the original file; if the indices are the ids, "
            "store them as a grey image"
        )
    table = np.zeros(_INDICES, np.uint8)
    table[used] = known[0]
    return table[indices]


def _is_usual(colors: npt.NDArray[np.integer], encoding: LabelEncoding) -> npt.NDArray[np.bool_]:
    """Of every index whether its colour is one that the id of the same number may have.

    An ignored id may have any colour but those of classes and greys, which may themselves be ids.
    """
    there = colors[:, 0] != NO_COLOR
    of_classes = encoding.color_table[~encoding.is_ignored]
    of_class = (colors[:, None] == of_classes).all(axis=2).any(axis=1)
    neutral = np.logical_or.reduce([(colors == color).all(axis=1) for color in _NEUTRAL])
    free = ~of_class & (neutral | (colors != colors[:, :1]).any(axis=1))
    usual = (colors == encoding.color_table).all(axis=1) | (free & encoding.is_ignored)
    return np.asarray(usual & there)


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
        pixels: (K + 1,) pixels of each class, then of what is ignored or unknown. K is 19, or more
            where the encoding has more classes.
        kind: of its ids.
    """

    present: list[int]
    pixels: npt.NDArray[np.int64]
    kind: IdKind


def content_of(raw: npt.NDArray[np.unsignedinteger], encoding: LabelEncoding) -> LabelContent:
    """What the raw ids of a label (H, W) are, read with an encoding."""
    by_raw_id = np.bincount(raw.ravel())
    present: list[int] = np.flatnonzero(by_raw_id).tolist()
    ignored = CITYSCAPES_19.ignore_label
    pixels = np.zeros(max(len(CITYSCAPES_19), encoding.num_classes) + 1, dtype=np.int64)
    for raw_id in present:
        train_id = encoding.raw_to_train.get(raw_id, ignored)
        pixels[-1 if train_id == ignored else train_id] += by_raw_id[raw_id]
    return LabelContent(present, pixels, _kind(set(present), pixels, encoding))


def _kind(ids: set[int], pixels: npt.NDArray[np.int64], encoding: LabelEncoding) -> IdKind:
    like_train_ids = encoding in RAW_ID_ENCODINGS and ids <= set(URBANSYN_TRAIN_IDS.raw_to_train)
    if not ids <= set(encoding.raw_to_train):
        if encoding in TRAIN_ID_ENCODINGS and ids <= set(CITYSCAPES_LABEL_IDS.raw_to_train):
            return IdKind.RAW_IDS
        return IdKind.TRAIN_IDS if like_train_ids else IdKind.UNKNOWN
    if pixels[-1] == pixels.sum():
        return IdKind.NO_CLASS
    if like_train_ids and pixels[-1] >= _LARGE * pixels.sum():
        return IdKind.PERHAPS_TRAIN_IDS
    return IdKind.FITTING
