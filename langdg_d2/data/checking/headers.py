"""What a file is before its pixels are read: an image of some size and mode, or none at all."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..image_io import PNG_BIT_DEPTH, lacks_end, open_image, orientation
from . import findings
from .findings import Kind

_LOOKED_AT = 1024  # bytes at the start of a file
_LFS = b"version https://git-lfs"
_WEB_PAGE = (b"<!doctype", b"<html", b"<?xml", b"<head")
_MODE_NAMES = {"L": "grey", "1": "black and white", "P": "palette", "I;16": "grey"}


@dataclass(frozen=True)
class Header:
    """What an image file says of itself.

    Attributes:
        size: (height, width) in pixels.
        mode: Pillow's name of its channels.
        bits: of a channel.
        format: "PNG", "JPEG", ...
        orientation: of EXIF, 1 where the pixels lie as viewers show them.
    """

    size: tuple[int, int]
    mode: str
    bits: int
    format: str
    orientation: int

    def __str__(self) -> str:
        return f"{self.bits}-bit {_MODE_NAMES.get(self.mode, self.mode)} {self.format}"


class UnusableFileError(Exception):
    """A file is not a whole image.

    Attributes:
        kind: what it is instead.
        detail: more of it, possibly empty.
    """

    def __init__(self, kind: Kind, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def is_resource_fork(path: Path) -> bool:
    """Whether a name is that of the file in which macOS keeps what it knows about another."""
    return path.name.startswith("._")


def read_header(path: Path) -> Header:
    """Header of an image, and a look at the file's end.

    Raises:
        UnusableFileError: if it is no image, or not all of one.
    """
    if is_resource_fork(path):
        raise UnusableFileError(findings.RESOURCE_FORK)
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
            if not start:
                raise UnusableFileError(findings.EMPTY)
            if start.startswith(_LFS):
                raise UnusableFileError(findings.LFS_POINTER)
            if start.lstrip().lower().startswith(_WEB_PAGE):
                raise UnusableFileError(findings.WEB_PAGE)
            file.seek(0)
            with open_image(file) as image:
                width, height = image.size
                mode, file_format = image.mode, image.format or ""
                turned = orientation(image)
            if lacks_end(file, file_format):
                raise UnusableFileError(
                    findings.UNREADABLE, f"the end of the {file_format} data is missing"
                )
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableFileError(findings.UNREADABLE, str(error)) from error
    # Pillow calls 16-bit colour images RGB too.
    bits = start[PNG_BIT_DEPTH] if file_format == "PNG" else 8
    return Header((height, width), mode, bits, file_format, turned)
