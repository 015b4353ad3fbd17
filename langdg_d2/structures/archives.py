"""Archives that are larger than they look."""

import zipfile
from pathlib import Path

# Weights hardly shrink, and torch does not even try; code and notes do, but are small.
_LARGEST_FACTOR = 4
_ALWAYS_ALLOWED = 1 << 26  # bytes


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
