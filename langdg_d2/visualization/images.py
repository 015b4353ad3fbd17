"""Reading whatever image a user brings: any bit depth, transparency, palette or orientation.

Data sets have a stricter reader of their own, `langdg_d2.data.image_io`.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ..data import ImageFileError
from ..data.image_io import FORMATS, open_image

# Ends of file names by which a folder's images are found.
SUFFIXES = frozenset(
    f".{end}"
    for end in (
        "avif",
        "bmp",
        "gif",
        "jp2",
        "jpeg",
        "jpg",
        "pgm",
        "png",
        "ppm",
        "tif",
        "tiff",
        "webp",
    )
)

_WHITE = 255
_SIXTEEN_BIT = 1 << 16
_TO_EIGHT_BIT = np.rint(np.arange(_SIXTEEN_BIT) / 257).astype(np.uint8)  # 65535 / 257 = 255


def read_image(file_name: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """An image file as a viewer shows it.

    Grey becomes RGB, 16 bits are scaled from their full range to 8, transparent parts lie on
    white, palettes are resolved, EXIF orientation is applied; of several frames the first.

    Returns:
        (H, W, 3) uint8 RGB, contiguous and writable.

    Raises:
        ImageFileError: names the file; it is missing, truncated, no image of `FORMATS`, of floats,
            or larger than Pillow's limit against files that unpack into all memory.
    """
    with _reading(file_name), open_image(file_name) as stored:
        _check_pixels(stored, file_name)
        return to_rgb(_pixels(ImageOps.exif_transpose(stored)))


def to_rgb(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An array of pixels as RGB of 8 bits.

    Args:
        pixels: (H, W) grey, or (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and
            alpha; uint8, or uint16 scaled from its full range. Alpha lays the image on white.

    Returns:
        (H, W, 3) uint8, contiguous and writable; the argument itself where it is that already.

    Raises:
        ValueError: for another shape or type.
    """
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3) or not pixels.size:
        shape = pixels.shape if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"{shape} is no image; expected an array (H, W) or (H, W, channels)")
    if pixels.dtype == np.uint16:
        pixels = _TO_EIGHT_BIT[pixels]
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"image of type {pixels.dtype}, expected uint8 or uint16; scale it to 0..255 first"
        )
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if channels > 4:
        raise ValueError(
            f"image {pixels.shape} with {channels} channels, expected 1 to 4, the last axis"
        )
    if channels in (2, 4):
        pixels = _on_white(pixels)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.require(pixels, requirements=["C", "W"])


def _on_white(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colours (H, W, C) of pixels (H, W, C + 1) whose last channel is the opacity."""
    alpha = pixels[..., -1].astype(np.uint16)
    white = (_WHITE - alpha) * _WHITE
    rgb = np.empty((*alpha.shape, pixels.shape[2] - 1), np.uint8)
    for channel in range(rgb.shape[2]):  # the sum of the two products fits into 16 bits
        rgb[..., channel] = (pixels[..., channel] * alpha + white + _WHITE // 2) // _WHITE
    return rgb


def _pixels(image: Image.Image) -> npt.NDArray[Any]:
    """Pixels of a kind that `to_rgb` takes."""
    if image.mode.startswith("I"):  # 16 bits of grey; older versions of Pillow keep them in 32
        grey = np.array(image)
        if grey.min() < 0 or grey.max() >= _SIXTEEN_BIT:
            raise ValueError(f"values {grey.min()}..{grey.max()}, expected at most 16 bits")
        return grey.astype(np.uint16)
    if image.mode == "F":
        raise ValueError("its values are floats, expected 8 or 16 bits: convert it first")
    return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _check_pixels(image: Image.Image, file_name: str | os.PathLike[str]) -> None:
    limit, size = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if limit is not None and size > limit:
        raise ImageFileError(
            f"'{os.fspath(file_name)}' has {image.width}x{image.height} = {size:,} pixels, more "
            f"than the limit of {limit:,} that guards against files which unpack into all memory; "
            "scale it down, or set PIL.Image.MAX_IMAGE_PIXELS higher if you trust it"
        )


@contextmanager
def _reading(file_name: str | os.PathLike[str]) -> Iterator[None]:
    name = os.fspath(file_name)
    try:
        yield
    except FileNotFoundError as error:
        raise ImageFileError(f"'{name}' does not exist") from error
    except IsADirectoryError as error:
        raise ImageFileError(f"'{name}' is a folder, expected an image file") from error
    except PermissionError as error:
        raise ImageFileError(f"'{name}' may not be read; check its permissions") from error
    except Image.UnidentifiedImageError as error:
        raise ImageFileError(
            f"'{name}' is no image that can be read; expected one of {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"'{name}': {error}; scale it down, or set PIL.Image.MAX_IMAGE_PIXELS higher if you "
            "trust it"
        ) from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:  # Pillow on broken files
        raise ImageFileError(
            f"'{name}' cannot be read as an image: {error}; if it is truncated, copy it again"
        ) from error
