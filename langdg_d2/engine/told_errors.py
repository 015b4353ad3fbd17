"""What users can help themselves ends a command with a line, not with a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..data import DatasetError, ImageFileError
from ..modeling import ClipWeightsError

_EXPECTED: tuple[type[Exception], ...] = (
    OSError,
    ImportError,
    ValueError,
    KeyError,
    ClipWeightsError,
    DatasetError,
    ImageFileError,
)

_WORKER = "\nOriginal Traceback (most recent call last):\n"


@contextmanager
def told_errors(*further: type[Exception], prefix: str = "error") -> Iterator[None]:
    """End the process with an error's message and exit code 1, if it is of a kind that is expected.

    Python's development mode, `python -X dev`, shows where an error comes from instead.

    Args:
        further: kinds that are expected beside those of files, settings and installed packages.
        prefix: begins the message.
    """
    kinds = _EXPECTED + further
    try:
        yield
    except kinds as error:
        if _is_dev_mode():
            raise
        sys.exit(f"{prefix}: {_message(error)}")


def _is_dev_mode() -> bool:
    return sys.flags.dev_mode


def _message(error: Exception) -> str:
    # A KeyError's text is its message in quotation marks.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    _, from_worker, further = text.partition(_WORKER)
    if from_worker:  # of a loader: the message ends a traceback
        text = further.rpartition(f"{type(error).__name__}: ")[2]
    return text.strip() or type(error).__name__
