"""PNG files without compression, which are larger but faster to read."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from ..utils.errors import LangDGError
from ..utils.file_io import replacing
from .image_io import ImageFileError, opened, read_rgb, stored_as

_PIECE = 1 << 20  # bytes
# PNG's filters only help compression; undoing them would take over half of the reading time.
_AS_THEY_ARE = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 0),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)


def copy_uncompressed(source: Path, target: Path) -> bool:
    """Copy a file with its times; RGB PNG images are stored without compression.

    Args:
        source: any file.
        target: replaced atomically if it exists.

    Returns:
        Whether it was an 8-bit RGB PNG.
    """
    is_rgb = False
    with suppress(ImageFileError), opened(source) as (_, image):
        is_rgb = stored_as(image) == "8-bit RGB PNG"
    pixels = read_rgb(source) if is_rgb else None
    with replacing(target) as file:
        if pixels is not None:
            _write(pixels, file, source)
        else:
            for piece in _pieces(source):
                file.write(piece)
            file.flush()
        shutil.copystat(source, file.name)
    return is_rgb


def _write(pixels: npt.NDArray[np.uint8], file: BinaryIO, source: Path) -> None:
    _, png = cv2.imencode(".png", pixels[..., ::-1], _AS_THEY_ARE)  # OpenCV's order is BGR
    file.write(png.tobytes())
    file.flush()
    if not np.array_equal(read_rgb(file.name), pixels):
        raise LangDGError(f"the copy of '{source}' differs from the file; check the disk")


def _pieces(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield piece
    except OSError as error:  # read errors do not name the file
        raise OSError(error.errno, error.strerror, str(source)) from error
