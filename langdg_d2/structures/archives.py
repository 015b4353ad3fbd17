"""Archives that are larger than they look, or not as they were written."""

import zipfile
from pathlib import Path

# Weights hardly shrink, and torch does not even try; code and notes do, but are small.
_LARGEST_FACTOR = 4
_ALWAYS_ALLOWED = 1 << 26  # bytes

_ZIP = b"PK\x03\x04"  # begins files of torch's newer format


def require_no_bomb(path: Path) -> None:
    """Refuse a zip archive that unpacks into far more than its file.

    Whatever is no whole archive passes: that is for others to find.

    Raises:
        ValueError: then.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return
    size = path.stat().st_size
    if unpacked > max(_ALWAYS_ALLOWED, _LARGEST_FACTOR * size):
        raise ValueError(
            f"its {size:,} bytes unpack into {unpacked:,}, which files of weights do not: it may "
            "be made to fill the memory"
        )


def damage(path: Path) -> str:
    """What is wrong with a zip archive by its checksums, which torch does not look at.

    Returns:
        "" for nothing, and for files of torch's older format, which has no checksums.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return ""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # a damaged file can raise nearly anything
        return f"cut off or changed: {error}"
    if part:
        return (
            f"the checksum of its part '{part}' is wrong (or was left out by "
            "torch.serialization.set_crc32_options: save it again without)"
        )
    return ""
