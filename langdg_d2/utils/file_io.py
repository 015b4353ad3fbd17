"""Atomic file writes."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import LangDGError

# First part of a path such as "s3://bucket"; a single letter is a Windows drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_REMEDY = "nothing was changed: make room or choose another place to write to"


def write_atomically(path: Path, data: bytes) -> None:
    """Create or replace a file atomically, also in case of a power failure.

    Creates the folder if needed. The old file remains if the new one cannot be written.
    """
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a text atomically in UTF-8; undecodable bytes of file names become escapes."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces `path` atomically at the end of the block.

    After an error inside the block, the old file remains.
    """
    if path.is_dir():
        raise IsADirectoryError(f"'{path}' is a folder, expected the name of a file to write")
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or str(error.filename or temporary) != str(temporary):
            raise
        # The system's error does not name the file.
        raise OSError(error.errno, f"{error.strerror}; {_REMEDY}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems cannot flush folders; the file is in place
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def content_digest(path: Path) -> str:
    """Hash the content of a file into 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents; raises the errors of `require_writable`."""
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)


def require_writable(folder: Path) -> None:
    """Check that a folder can be written to; it need not exist and is not created."""
    if folder.parts and _SCHEME.fullmatch(folder.parts[0]):
        raise LangDGError(
            f"output '{folder}' is an address, expected a local folder: mount it, or copy the "
            "output there afterwards"
        )
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(
            f"'{existing}' is a file, expected a folder; choose another output"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"'{existing}' may not be written to; choose another output")
