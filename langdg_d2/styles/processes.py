"""Errors that every process hears of, so that none waits for another that has failed."""

from collections.abc import Iterator
from contextlib import contextmanager

from detectron2.utils import comm


@contextmanager
def shared_errors() -> Iterator[None]:
    """A block that all processes leave together: if it fails in one, it fails in all.

    Every process must enter it, and it must not hold collective calls itself.

    Raises:
        RuntimeError: in a process that has not failed itself; says which has, and how.
    """
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    failures = comm.all_gather(None if own is None else f"{type(own).__name__}: {own}")
    if own is not None:
        raise own
    for rank, failure in enumerate(failures):
        if failure:
            raise RuntimeError(f"process {rank} has failed: {failure}")
