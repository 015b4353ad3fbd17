"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_END = ".tmp"  # of the names of files that are being written


def write_atomically(path: Path, data: bytes) -> None:
    """Create or replace a file such that no reader, nor a power cut, ever meets half of it.

    Raises:
        OSError: if it cannot be written; an earlier file is then left as it was.
    """
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """As `write_atomically`, for what is written piece by piece into the file given.

    An error within leaves an earlier file as it was, too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_END}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can flush a folder, and the file is in place
        _flush_folder(path.parent)


def remove_unfinished(folder: Path, pattern: str) -> None:
    """Remove what processes that were killed have left of files whose names match the pattern.

    Nobody may be writing such a file.
    """
    for temporary in folder.glob(f".{pattern}.*{_END}"):
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
