"""What users can help themselves ends a command with a line, not with a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import OverrideParseException

from ..data import DatasetError, ImageFileError
from ..modeling import ClipWeightsError

_EXPECTED: tuple[type[Exception], ...] = (
    OSError,
    ImportError,
    ValueError,
    KeyError,
    OverrideParseException,
    ClipWeightsError,
    DatasetError,
    ImageFileError,
)


@contextmanager
def told_errors(*further: type[Exception], prefix: str = "error") -> Iterator[None]:
    """End the process with an error's message and exit code 1, if it is of a kind that is expected.

    Args:
        further: kinds that are expected beside those of files, settings and installed packages.
        prefix: begins the message.
    """
    kinds = _EXPECTED + further
    try:
        yield
    except kinds as error:
        # A KeyError's text is its message in quotation marks.
        message = error.args[0] if isinstance(error, KeyError) else error
        sys.exit(f"{prefix}: {message}")
