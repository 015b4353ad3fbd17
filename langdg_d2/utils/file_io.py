"""Files that are whole or not there."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from .errors import LangDGError

_END = ".tmp"  # of the names of files that are being written
# What a path makes of the beginning of "s3://bucket"; a letter alone is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_REMEDY = "nothing was changed: make room or choose another place to write to"


def write_atomically(path: Path, data: bytes) -> None:
    """Create or replace a file such that no reader, nor a power cut, ever meets half of it.

    Its folder is made if need be.

    Raises:
        OSError: if it cannot be written; names it. An earlier file is then left as it was.
    """
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """As `write_atomically`, in UTF-8.

    Bytes of file names that are not UTF-8 become escapes such as `\\udcdf`.
    """
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """As `write_atomically`, for what is written piece by piece into the file given.

    An error within leaves an earlier file as it was, too, and one of another file as it is.
    """
    if path.is_dir():
        raise IsADirectoryError(f"'{path}' is a folder, expected the name of a file to write")
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_END}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or str(error.filename or temporary) != str(temporary):
            raise
        # The system does not say which file it had no room for.
        raise OSError(error.errno, f"{error.strerror}; {_REMEDY}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can flush a folder, and the file is in place
        _flush_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, where they are not there.

    Raises:
        OSError: as `require_writable`, or if it cannot be made.
    """
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)


def require_writable(folder: Path) -> None:
    """See that something could be written to a folder that may not be there yet; changes nothing.

    Raises:
        LangDGError: if it is an address, such as "s3://bucket/run".
        NotADirectoryError: if a file is in the way; names it.
        PermissionError: if it, or what it would be made in, may not be written to.
    """
    if folder.parts and _SCHEME.fullmatch(folder.parts[0]):
        raise LangDGError(
            f"output '{folder}' is an address, expected a local folder: mount what it leads to, "
            "or copy the output there afterwards"
        )
    folder = folder.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"'{there}' is a file, expected a folder; choose another output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"'{there}' may not be written to; choose another output")


def remove_unfinished(folder: Path, *patterns: str) -> None:
    """Remove what processes that were killed have left of files of a folder.

    Args:
        folder: what processes of this machine that still run are writing there is left alone.
        patterns: of names of files that nobody is writing, whatever runs.
    """
    for temporary in folder.glob(f".*{_END}"):
        found = re.fullmatch(rf"\.(.+)\.(\d+){re.escape(_END)}", temporary.name)
        if found is None:
            continue
        unowned = any(fnmatchcase(found[1], pattern) for pattern in patterns)
        if unowned or not _runs(int(found[2])):
            temporary.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if process == os.getpid():  # which had the number of the killed one by chance
        return False
    if sys.platform == "win32":  # where the signal 0 is Ctrl-C; it may run
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
