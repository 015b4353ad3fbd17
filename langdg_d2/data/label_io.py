"""Reading label files: PNG images of ids, whose values have to mean what their data set says."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..structures import LabelEncoding
from ..utils.errors import LangDGError
from .image_io import (
    PNG_BIT_DEPTH,
    ImageFileError,
    check_png,
    decode_full_depth,
    open_image,
    read_size,
    reading,
)
from .label_ids import IdKind, count_pixels, kind_of_ids
from .label_palettes import ids_of_indices


class LabelFormatError(ImageFileError):
    """A label file is an image, but not one that holds ids as its data set stores them."""


def read_train_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.uint8]:
    """A label file as (H, W) uint8 train ids.

    Args:
        file_name: 8-bit grey PNG of ids; palette PNG, see `label_palettes`; or a 16-bit colour PNG
            where the ids are in one of its channels.
        encoding: what its values mean, and which kind it is.

    Raises:
        ImageFileError: if the file is missing, truncated, of another format, or holds an id that
            the encoding does not know.
    """
    raw = read_raw_ids(file_name, encoding)
    try:
        return encoding.decode(raw)
    except LangDGError as error:
        kind = kind_of_ids(*count_pixels(raw, encoding), encoding)
        hint = "" if kind is IdKind.UNKNOWN else f"; it seems to hold {kind.value}"
        raise ImageFileError(f"label file '{file_name}': {error}{hint}") from error


def read_raw_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.unsignedinteger]:
    """The ids of a label file, (H, W); arguments and errors of `read_train_ids`."""
    if encoding.channel is not None:
        return np.ascontiguousarray(_read_16_bit_rgb(file_name)[..., encoding.channel])
    with reading(file_name), Path(file_name).open("rb") as file:
        start = file.read(PNG_BIT_DEPTH + 1)
        file.seek(0)
        with open_image(file) as image:
            file_format, mode, raw = image.format or "", image.mode, np.array(image)
            palette = image.getpalette("RGB") if mode == "P" else None
            check_png(file, image)
    if file_format != "PNG":
        raise LabelFormatError(
            f"label file '{file_name}' is of the format {file_format}, expected PNG: compression "
            "with losses makes up ids, so use the original file and not a conversion"
        )
    # Pillow stretches grey values of fewer bits to 0..255, but not palette indices. Whether the
    # stretched values are the ids or the stored ones depends on the program that wrote them.
    if mode == "L" and start[PNG_BIT_DEPTH] < 8:
        raise LabelFormatError(
            f"label file '{file_name}' has {start[PNG_BIT_DEPTH]}-bit grey values, expected an "
            "8-bit image; use the original file and not a conversion"
        )
    if raw.ndim != 2 or raw.dtype != np.uint8:
        raise LabelFormatError(
            f"label file '{file_name}' has shape {raw.shape} and type {raw.dtype}, expected an "
            "8-bit image with one channel of label ids; is it a colour rendering of the labels?"
        )
    if palette is None:
        return raw
    try:
        return ids_of_indices(raw, np.reshape(palette, (-1, 3)), encoding)
    except LangDGError as error:
        raise LabelFormatError(f"label file '{file_name}': {error}") from error


def _read_16_bit_rgb(file_name: str) -> npt.NDArray[np.unsignedinteger]:
    read_size(file_name)  # OpenCV would take gigabytes for a size that a short file only claims
    with reading(file_name), Path(file_name).open("rb") as file:
        pixels = decode_full_depth(file)
        check_png(file)
    if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise LabelFormatError(
            f"label file '{file_name}' has shape {pixels.shape} and type {pixels.dtype}, expected "
            "a 16-bit RGB image; is it a colour rendering, or was it converted? Use the original"
        )
    return pixels
