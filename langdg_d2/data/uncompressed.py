"""PNG files without compression: larger, and several times faster to read."""

import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..utils.errors import LangDGError
from ..utils.file_io import replacing
from .image_io import PNG_BIT_DEPTH, read_rgb

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_OF_8_BITS = bytes([8, 2, 0, 0, 0])  # then: deflate, filters by row, not interlaced
_COLOUR_TYPE = PNG_BIT_DEPTH + 1  # position in a file
_NO_FILTER = 0
_PIECE = 1 << 20  # bytes


def uncompressed_png(image: npt.NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) RGB as a PNG file whose pixels lie there as they are.

    Image libraries filter rows even where nothing is compressed, which costs readers more than
    half of their time.
    """
    height, width, _ = image.shape
    rows = np.full((height, 1 + 3 * width), _NO_FILTER, np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return _SIGNATURE + b"".join(
        [
            _chunk(b"IHDR", size + _RGB_OF_8_BITS),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 0)),
            _chunk(b"IEND", b""),
        ]
    )


def copy_uncompressed(source: Path, target: Path) -> bool:
    """Copy a file; an RGB image of the format PNG without compression, all else as it is.

    Args:
        source: any file.
        target: replaced if it exists, and whole or not there at all.

    Returns:
        Whether it was an RGB PNG.

    Raises:
        ImageFileError: if an image cannot be read.
        OSError: if a file cannot be copied.
        LangDGError: if the copy reads otherwise than the source.
    """
    pixels = read_rgb(str(source)) if _is_rgb_png(source) else None
    with replacing(target) as file:
        if pixels is not None:
            _write(pixels, file, source)
        else:
            for piece in _pieces(source):
                file.write(piece)
            file.flush()
            shutil.copystat(source, file.name)
    return pixels is not None


def _write(pixels: npt.NDArray[np.uint8], file: BinaryIO, source: Path) -> None:
    file.write(uncompressed_png(pixels))
    file.flush()
    if not np.array_equal(read_rgb(file.name), pixels):
        raise LangDGError(f"the copy of '{source}' reads otherwise than the file; check the disk")


def _pieces(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield piece
    except OSError as error:  # the system does not say which file it could not read on
        raise OSError(error.errno, error.strerror, str(source)) from error


def _is_rgb_png(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(_COLOUR_TYPE + 1)
    depth_and_type = start[PNG_BIT_DEPTH : _COLOUR_TYPE + 1]
    return start.startswith(_SIGNATURE) and depth_and_type == _RGB_OF_8_BITS[:2]


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + checksum
