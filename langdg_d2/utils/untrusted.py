"""Guards against damaged and malicious weight files."""

import pickletools
import zipfile
from pathlib import Path

from .errors import LangDGError

# Weights hardly compress, and torch stores them uncompressed.
_LARGEST_FACTOR = 4
_ALWAYS_ALLOWED = 1 << 26  # bytes

_REMEMBER = ("PUT", "BINPUT", "LONG_BINPUT")  # opcodes with a memo index
_ZIP = b"PK\x03\x04"  # start of files of torch's newer format
_HEADER_SIZE = 8  # bytes at the start of a safetensors file; JSON follows
_LARGEST_HEADER = 100_000_000  # bytes that safetensors allows
# First bytes, in lower case, of files that a failed download or copy may leave.
LFS_POINTER = b"version https://git-lfs"
WEB_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
_WEB_PAGE = "it is a web page; the address leads to a page about the file, not to the file"
_OTHERS = {
    LFS_POINTER: "it is a pointer of Git LFS; `git lfs pull` gets the file itself",
    **dict.fromkeys(WEB_PAGES, _WEB_PAGE),
    b"\x1f\x8b": "it is compressed by gzip; unpack it first",
    b"BZh": "it is compressed by bzip2; unpack it first",
    b"\xfd7zXZ": "it is compressed by xz; unpack it first",
    b"7z\xbc\xaf": "it is a 7z archive; unpack it first",
}


def other_kind(path: Path) -> str:
    """Return why a file of another known kind cannot contain weights, or ""."""
    if path.is_dir():
        return "it is a folder; name the file in it"
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return "it is empty; download or copy it again"
    found = (
        text for magic, text in _OTHERS.items() if start[: len(magic)].lower() == magic.lower()
    )
    return next(found, "")


def is_safetensors(path: Path) -> bool:
    """Whether a file's content is in the safetensors format."""
    with path.open("rb") as file:
        size, brace = file.read(_HEADER_SIZE), file.read(1)
    return brace == b"{" and int.from_bytes(size, "little") <= _LARGEST_HEADER


def require_no_bomb(path: Path) -> None:
    """Refuse a zip archive that unpacks into far more bytes than its size.

    Incomplete archives and other files pass; their reader reports them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return
    size = path.stat().st_size
    if unpacked > max(_ALWAYS_ALLOWED, _LARGEST_FACTOR * size):
        raise LangDGError(
            f"its {size:,} bytes unpack into {unpacked:,}, far more than weights do: it may be "
            "made to fill the memory"
        )


def damage(path: Path) -> str:
    """Verify the checksums of a zip archive, which torch does not.

    Returns:
        Description of the damage; "" for none and for torch's older format without checksums.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return ""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # damaged files raise errors of many types
        return f"cut off or changed: {error}"
    if part:
        return (
            f"the checksum of its part '{part}' is wrong (or was left out by "
            "torch.serialization.set_crc32_options: save it again without)"
        )
    return ""


def require_small_memo(data: bytes) -> None:
    """Refuse a pickle with memo indices that would make Python allocate gigabytes."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _REMEMBER and (argument or 0) > len(data):
            raise LangDGError(f"it claims {argument} objects in {len(data)} bytes")
