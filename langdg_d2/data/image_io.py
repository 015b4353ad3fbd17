"""Reading image files, with errors that name the file.

`read_rgb` reads images of data sets, and `read_image` images of users. Both convert grey to RGB and
16 bits to 8, resolve palettes and use the first of several frames. `read_image` rotates images
according to their EXIF data and puts transparent parts on white. `read_rgb` keeps images as stored,
like their labels, keeps the colours of transparent pixels, as in Detectron2 and the official code,
and refuses incomplete and damaged files.
"""

import logging
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps

from ..utils.errors import LangDGError
from ..utils.untrusted import other_kind

# Pillow supports more, some of which start programs (PostScript) or read other files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
# Suffixes of images, in lower case.
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

_PNG_START = struct.Struct(">8s8xII")  # signature, width, height
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # not in a scan and not padding
_PROGRESSIVE_FRAMES, _SCAN, _JPEG_END = (b"\xc2", b"\xca"), b"\xda", b"\xd9"
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"
_JPEG2000_BIT_DEPTH = 42  # offset from the start of the marker
_TIFF_COMPRESSION, _DEFLATE, _JPEG_IN_TIFF = 259, (8, 32946), (6, 7)
_TIFF_STRIPS, _TIFF_TILES = (273, 279), (324, 325)  # tags of offsets and sizes in bytes
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_WITHOUT_CHECKSUMS, _ZEROS = ("AVIF", "JPEG2000", "WEBP"), 16
_UPRIGHT = 1  # EXIF orientation

_WHITE = 255
_SIXTEEN_BIT = 1 << 16
_TO_EIGHT_BIT = np.rint(np.arange(_SIXTEEN_BIT) / 257).astype(np.uint8)  # 65535 / 257 = 255
_BRIGHT = 0.999  # quantile used as brightest value, because single pixels may be defective
_COLOURS = ("LA", "RGB", "RGBA")
_MODE_NAMES = {"L": "grey", "1": "black and white", "P": "palette", "I;16": "grey"}

_logger = logging.getLogger(__name__)
_folders_of_dark: set[Path] = set()  # folders already warned about


class ImageFileError(LangDGError):
    """A file of a data set is missing, unreadable, or not as expected."""


def read_rgb(file_name: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read an image of a data set, as stored, as (H, W, 3) uint8 RGB, contiguous and writable.

    NOTE: Detectron2's reader rotates images according to EXIF; the official code does not. Applying
    EXIF is reported to misalign some BDD100K images and their labels.

    Raises:
        ImageFileError: if the file is missing, truncated, damaged, not an image of `FORMATS`, of
            floats or 32-bit integers, or larger than Pillow's limit against decompression bombs.
    """
    with opened(file_name) as (file, image):
        if image.format in ("JPEG", "MPO"):
            pixels = _undamaged_jpeg(file, image)
        else:
            if image.format == "TIFF":
                _check_tiff(file, image)
            pixels = _decode(file, image)
            if image.format == "PNG":
                check_png(file, image)
            if image.format in _WITHOUT_CHECKSUMS:
                _check_end(file)
        _check_range(pixels, Path(file_name))
        if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
            pixels = pixels[..., :-1]  # the colours without alpha
        return to_rgb(pixels)


def read_image(file_name: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read an image of a user as a viewer shows it: upright, and with transparency on white.

    Damaged parts of a JPEG are filled by libjpeg.
    """
    with opened(file_name) as (file, image):
        pixels = _decode(file, image)
        _check_range(pixels, Path(file_name))
        rgb = to_rgb(pixels)
        # TIFF decoders rotate images themselves.
        if image.format == "TIFF" or (turn := orientation(image)) == _UPRIGHT:
            return rgb
        turned = Image.fromarray(rgb)
        turned.getexif()[ExifTags.Base.Orientation] = turn
        return np.array(ImageOps.exif_transpose(turned))


def read_size(file_name: str | os.PathLike[str]) -> tuple[int, int]:
    """Read height and width in pixels of an image as stored, only from the header."""
    return read_format(file_name)[1]


def read_format(file_name: str | os.PathLike[str]) -> tuple[str | None, tuple[int, int]]:
    """Read the format (one of `FORMATS`) and (height, width) of an image, only from the header."""
    with _named_errors(file_name):
        # Pillow takes several times longer, which matters for whole data sets.
        with open(file_name, "rb", buffering=0) as file:
            start = file.read(_PNG_START.size)
        if start.startswith(_PNG_SIGNATURE) and len(start) == _PNG_START.size:
            _, width, height = _PNG_START.unpack(start)
            _check_size(width, height)
            return "PNG", (height, width)
        with _open_image(file_name) as image:
            return image.format, (image.height, image.width)


@contextmanager
def opened(file_name: str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], Image.Image]]:
    """Open an image file with Pillow; reading errors become an `ImageFileError`."""
    with _named_errors(file_name), open(file_name, "rb") as file, _open_image(file) as image:
        yield file, image


def _raw_mode(image: Image.Image) -> str:
    """Return the raw mode of an opened image, such as "RGB;16B"; "" if unknown or decoded."""
    if not (tiles := getattr(image, "tile", ())):
        return ""
    arguments = tiles[0].args
    if image.format == "PPM" and arguments[1:2] == (_SIXTEEN_BIT - 1,):
        return f"{arguments[0]};16B"
    return arguments if isinstance(arguments, str) else str(arguments[0])


def stored_as(image: Image.Image) -> str:
    """Describe depth, colours and format of an opened image, such as "8-bit grey PNG"."""
    bits = re.search(r";(\d+)", _raw_mode(image))
    depth = bits[1] if bits else "1" if image.mode == "1" else "8"
    return f"{depth}-bit {_MODE_NAMES.get(image.mode, image.mode)} {image.format}"


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 for upright; rarely decodes pixels."""
    # Pillow would decode a PNG to search for EXIF data after its pixels.
    if image.format == "PNG" and not {"exif", "XML:com.adobe.xmp", "xmp"} & image.info.keys():
        return _UPRIGHT
    found = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    return found if found in range(1, 9) else _UPRIGHT


def _open_image(file: str | os.PathLike[str] | IO[bytes]) -> Image.Image:
    """Open an image of `FORMATS` with Pillow; exceeding its pixel limit is an error."""
    Image.init()
    image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    _check_size(image.width, image.height)
    return image


def check_png(file: IO[bytes], decoded: Image.Image) -> None:
    """Raise for damage that Pillow's decoder ignores: wrong checksums and missing rows."""
    file.seek(0)
    with _open_image(file) as image:
        image.verify()
    # Pillow fills missing rows with 0. A second decoder detects them but doubles the time, so it
    # runs only if the last row is 0.
    last = decoded.crop((0, decoded.height - 1, decoded.width, decoded.height))
    if decoded.info.get("interlace") or not np.array(last).any():
        decode_full_depth(file)


def _check_end(file: IO[bytes]) -> None:
    """Raise for compressed data that end in zeros, as after an interrupted copy."""
    file.seek(-_ZEROS, os.SEEK_END)
    if not any(file.read()):
        raise OSError("its data end in zeros")


def _check_tiff(file: IO[bytes], image: Image.Image) -> None:
    """Raise for rotated TIFF files, and for damage that decoders do not detect."""
    tags = getattr(image, "tag_v2", {})
    if orientation(image) != _UPRIGHT:
        raise LangDGError(
            "its orientation tag rotates it, but not its label: store the pixels upright"
        )
    if tags.get(_TIFF_COMPRESSION) in _JPEG_IN_TIFF:
        raise LangDGError(
            "damage of JPEG data in a TIFF cannot be detected: store it as JPEG or PNG"
        )
    if tags.get(_TIFF_COMPRESSION) in _DEFLATE:  # decoders skip their checksums
        for offsets, sizes in (_TIFF_STRIPS, _TIFF_TILES):
            for offset, size in zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=True):
                file.seek(offset)
                zlib.decompress(file.read(size))


def to_rgb(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert an array of pixels to 8-bit RGB.

    Args:
        pixels: (H, W) grey, or (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and
            alpha; uint8, or uint16 scaled from its full range. Alpha blends the image with white.

    Returns:
        (H, W, 3) uint8, contiguous and writable; the argument itself if it already is.
    """
    shape = getattr(pixels, "shape", type(pixels).__name__)
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3) or not pixels.size:
        raise LangDGError(f"{shape} is not an image; expected an array (H, W) or (H, W, channels)")
    if pixels.dtype == np.uint16:
        _require_sixteen_bits(int(pixels.max()))
        pixels = _TO_EIGHT_BIT[pixels]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if pixels.dtype != np.uint8 or channels > 4:
        raise LangDGError(
            f"image {shape} of type {pixels.dtype}, expected uint8 or uint16 with 1 to 4 channels, "
            "the last axis; scale floats to 0..255 first"
        )
    if channels in (2, 4):
        alpha = pixels[..., -1:].astype(np.uint16)
        sums = pixels[..., :-1] * alpha + (_WHITE - alpha) * _WHITE  # fits into 16 bits
        pixels = ((sums + _WHITE // 2) // _WHITE).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.require(pixels, requirements=["C", "W"])


def decode_full_depth(file: IO[bytes]) -> npt.NDArray[np.unsignedinteger]:
    """Decode pixels (H, W) or (H, W, C), RGB first; Pillow reduces 16-bit colours to 8."""
    file.seek(0)
    stored = np.frombuffer(file.read(), np.uint8)
    pixels = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if stored.size else None
    if pixels is None:
        raise OSError("its pixels cannot be decoded")
    if pixels.ndim == 3:  # OpenCV's order is BGR
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return np.asarray(pixels)


def pillow_pixels(image: Image.Image) -> npt.NDArray[Any]:
    """Return the pixels of an opened image for `to_rgb`, not rotated."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        pixels = np.array(image).astype(np.uint16)  # Pillow stores 16-bit PPM in 32 bits
        # Pillow inverts images of 8 bits itself.
        inverted = getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
        return ~pixels if inverted else pixels
    if image.mode in ("F", "I"):
        kind = "floats" if image.mode == "F" else "integers of 32 bits"
        raise LangDGError(f"its values are {kind}, expected 8 or 16 bits: convert it first")
    if image.has_transparency_data:
        return np.array(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _decode(file: IO[bytes], image: Image.Image) -> npt.NDArray[Any]:
    """Decode the pixels as stored, for `to_rgb`; 16-bit if the file has more than 8 bits."""
    if image.mode in _COLOURS and ";16" in _raw_mode(image):
        return decode_full_depth(file)  # Pillow would reduce it to 8 bits
    if image.format == "JPEG2000" and image.mode in _COLOURS:
        file.seek(0)
        data = file.read()
        place = data.index(_JPEG2000_SIZE) + _JPEG2000_BIT_DEPTH
        depth = 1 + (int.from_bytes(data[place : place + 1], "big") & 0x7F)
        # Pillow rounds the brightest values up to 256, which overflows to 0.
        return decode_full_depth(file) << (16 - depth) if depth > 8 else pillow_pixels(image)
    return pillow_pixels(image)


def _undamaged_jpeg(file: IO[bytes], image: Image.Image) -> npt.NDArray[np.uint8]:
    """Decode a JPEG like Pillow, but raise for libjpeg's warnings, which Pillow drops."""
    file.seek(0)
    data = file.read()
    # Pillow's defaults: accurate DCT, fancy upsampling.
    kind = "CMYK" if image.mode == "CMYK" else "RGB"
    rgb = simplejpeg.decode_jpeg(data, kind, fastdct=False, fastupsample=False)
    if image.info.get("progressive") and _lacks_scans(data):
        raise OSError("it ends before its last scans")
    if kind == "CMYK":
        file.seek(0)
        rgb = np.array(image.convert("RGB"))
    return np.asarray(rgb, np.uint8)


def _lacks_scans(jpeg: bytes) -> bool:
    """Whether coefficients of a progressive JPEG lack their last bits."""
    unfinished: dict[int, set[int]] = {}  # coefficients by component
    place = 2  # after the marker of the start
    while (marker := _JPEG_MARKER.search(jpeg, place)) and marker[1] != _JPEG_END:
        start = marker.end()
        place = start + int.from_bytes(jpeg[start : start + 2], "big")
        segment = jpeg[start + 2 : place]
        if marker[1] in _PROGRESSIVE_FRAMES:
            unfinished = {component: set(range(64)) for component in segment[6::3]}
        elif marker[1] == _SCAN:
            *components, first, last, bits = segment[1:]
            if not bits & 0xF:  # complete: no later scans
                for component in components[::2]:
                    unfinished[component] -= set(range(first, last + 1))
    return any(unfinished.values())


def _check_range(pixels: npt.NDArray[Any], file: Path) -> None:
    """Raise for 16-bit images with 12 bits or fewer, and warn about images that may be too dark."""
    largest, full = int(pixels.max()), int(np.iinfo(pixels.dtype).max)
    darkest = 1  # 8-bit images may be dark at night
    if pixels.dtype == np.uint16:
        _require_sixteen_bits(largest)
        largest, darkest = int(np.quantile(pixels, _BRIGHT)), full >> 1
    if largest <= darkest and file.parent not in _folders_of_dark:
        _folders_of_dark.add(file.parent)  # one warning per folder
        _logger.warning(
            "the values of '%s' reach %d alone; if those of other images in its folder are as "
            "small, they come out too dark: scale them to the range up to %d",
            *(file, largest, full),
        )


def _require_sixteen_bits(largest: int) -> None:
    """Refuse 16-bit values of 12 bits or fewer; black images are fine."""
    full = _SIXTEEN_BIT - 1
    if 0 < largest <= full >> 4:
        raise LangDGError(
            f"its 16-bit values reach only {largest}, expected the range up to {full}: it would be "
            "almost black, so scale it or store 8 bits"
        )


def _check_size(width: int, height: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(
            f"it has {width}x{height} = {width * height:,} pixels, more than the limit of "
            f"{limit:,} that guards against files which unpack into all memory"
        )


@contextmanager
def _named_errors(file_name: str | os.PathLike[str]) -> Iterator[None]:
    """Convert reading errors to an `ImageFileError` that names the file and the remedy."""
    name = os.fspath(file_name)
    try:
        yield
    except ImageFileError:
        raise
    except FileNotFoundError as error:
        raise ImageFileError(f"'{name}' does not exist") from error
    except (IsADirectoryError, PermissionError) as error:
        raise ImageFileError(
            f"'{name}' cannot be read ({error.strerror}), expected an image file"
        ) from error
    except Image.UnidentifiedImageError as error:
        remedy = other_kind(Path(name)) or "if it is truncated, copy it again"
        raise ImageFileError(
            f"'{name}' is not an image that can be read; expected one of {', '.join(FORMATS)}; "
            f"{remedy}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"'{name}': {error}; scale it down, or set PIL.Image.MAX_IMAGE_PIXELS higher if you "
            "trust it"
        ) from error
    # Errors of Pillow and OpenCV for broken files.
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, LangDGError) as error:
        raise ImageFileError(
            f"'{name}' cannot be read as an image: {error}; if it is truncated or damaged, copy "
            "it again"
        ) from error
