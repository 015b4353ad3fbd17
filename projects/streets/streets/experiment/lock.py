"""One experiment at a time in a folder: two would train the same runs into the same files."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder until the block ends; a process that dies lets go of it.

    Raises:
        BlockingIOError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"another experiment is at work in {folder}; wait for it to end, or choose "
                "another --output"
            ) from error
        yield
