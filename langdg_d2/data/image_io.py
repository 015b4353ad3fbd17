"""Reading images and label files, with errors that name the file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..structures import LabelEncoding

PNG_BIT_DEPTH = 24  # position of that byte in a file
# Formats of pixels; others that Pillow knows may start programs (PostScript) or read other files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")


class ImageFileError(RuntimeError):
    """A file of a data set is missing, unreadable, or not what its data set promises."""


def read_rgb(file_name: str) -> npt.NDArray[np.uint8]:
    """An image as (H, W, 3) uint8 RGB, contiguous and writable; the pixels as they are stored.

    NOTE: Detectron2's reader turns images as their EXIF data ask. The official code does not, and
    users of readers that do report images of BDD100K that lie across their labels.

    Raises:
        ImageFileError: if the file is missing, truncated, no image, or of so many pixels that it
            may be there to fill the memory.
    """
    with _reading(file_name), open_image(file_name) as image:
        return np.array(image.convert("RGB"))


def read_size(file_name: str) -> tuple[int, int]:
    """Height and width in pixels of an image as it is stored, from the file's header alone.

    Raises:
        ImageFileError: if the file is missing, no image, or of too many pixels.
    """
    with _reading(file_name), open_image(file_name) as image:
        return image.height, image.width


def open_image(file: str | os.PathLike[str] | IO[bytes]) -> Image.Image:
    """Pillow's `Image.open` for `FORMATS` alone."""
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def read_train_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.uint8]:
    """A label file as (H, W) uint8 train ids.

    Args:
        file_name: 8-bit grey or palette PNG, of which the indices count and not the colours; or
            a 16-bit colour PNG where the ids are in one of its channels.
        encoding: what its values mean, and which of the two kinds it is.

    Raises:
        ImageFileError: if the file is missing, truncated, of another format, or holds an id that
            the encoding does not know.
    """
    raw = read_raw_ids(file_name, encoding)
    try:
        return encoding.decode(raw)
    except ValueError as error:
        raise ImageFileError(f"label file '{file_name}': {error}") from error


def read_raw_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.unsignedinteger]:
    """The ids of a label file as stored, (H, W); arguments and errors of `read_train_ids`."""
    if encoding.channel is not None:
        return np.ascontiguousarray(_read_16_bit_rgb(file_name)[..., encoding.channel])
    with _reading(file_name), Path(file_name).open("rb") as file:
        start = file.read(PNG_BIT_DEPTH + 1)
        with open_image(file) as image:
            file_format, mode, raw = image.format, image.mode, np.array(image)
    if file_format != "PNG":
        raise ImageFileError(
            f"label file '{file_name}' is of the format {file_format}, expected PNG: compression "
            "with losses makes up ids, so use the original file and not a conversion"
        )
    # Pillow stretches grey values of fewer bits to 0..255, but not palette indices.
    if mode == "L" and start[PNG_BIT_DEPTH] < 8:
        raise ImageFileError(
            f"label file '{file_name}' has {start[PNG_BIT_DEPTH]}-bit grey values, expected an "
            "8-bit image; use the original file and not a conversion"
        )
    if raw.ndim != 2 or raw.dtype != np.uint8:
        raise ImageFileError(
            f"label file '{file_name}' has shape {raw.shape} and type {raw.dtype}, expected an "
            "8-bit image with one channel of label ids; is it a colour rendering of the labels?"
        )
    return raw


def _read_16_bit_rgb(file_name: str) -> npt.NDArray[np.uint16]:
    read_size(file_name)  # OpenCV would take gigabytes for a size that a short file only claims
    with _reading(file_name):
        stored = np.frombuffer(Path(file_name).read_bytes(), np.uint8)
        # Pillow would cut the ids to their upper 8 bits.
        pixels = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if stored.size else None
        if pixels is None:
            raise OSError("its pixels cannot be decoded")
    if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageFileError(
            f"label file '{file_name}' has shape {pixels.shape} and type {pixels.dtype}, expected "
            "a 16-bit RGB image; is it a colour rendering, or was it converted? Use the original"
        )
    return np.asarray(pixels, dtype=np.uint16)[..., ::-1]  # OpenCV's order is BGR


@contextmanager
def _reading(file_name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ImageFileError(f"'{file_name}' does not exist") from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"'{file_name}': {error} Scale it down, or set PIL.Image.MAX_IMAGE_PIXELS higher if "
            "you trust it"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken files
        raise ImageFileError(
            f"'{file_name}' cannot be read as an image ({error}); it may be truncated: "
            "compare its size with the original and copy it again"
        ) from error
