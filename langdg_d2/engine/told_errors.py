"""What users can help themselves ends a command with a line, not with a traceback."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
_LOOP = "detectron2.engine.train_loop"  # logs what ends training, with its traceback


@contextmanager
def told_errors(*further: type[Exception], prefix: str = "error") -> Iterator[None]:
    """End the process with an error's message and exit code 1, if it is of a kind that is expected.

    What the terminal's encoding lacks is printed as escapes, from then on.

    The file of the process's log, where there is one, ends with the message and the traceback.
    Python's development mode, `python -X dev`, shows where an error comes from instead.

    Args:
        further: kinds that are expected beside those of files, settings and installed packages.
        prefix: begins the message.
    """
    kinds = _EXPECTED + further
    for stream in (sys.stdout, sys.stderr):
        escape_unprintable(stream)
    try:
        with _without_tracebacks(kinds):
            yield
    except kinds as error:
        if _is_dev_mode():
            raise
        message = _message(error)
        _log(message, error)
        sys.exit(f"{prefix}: {message}")


def escape_unprintable(stream: object) -> None:
    """Let a stream of text write what its encoding lacks, such as names in bytes, as escapes."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _is_dev_mode() -> bool:
    return sys.flags.dev_mode


@contextmanager
def _without_tracebacks(kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """The training loop says that an error of these kinds has ended it, not where it was."""

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], kinds) and not _is_dev_mode():
            record.exc_info = None
        return True

    loop = logging.getLogger(_LOOP)
    loop.addFilter(shorten)
    try:
        yield
    finally:
        loop.removeFilter(shorten)


def _log(message: str, error: Exception) -> None:
    """Write to the log's files alone: the terminal is told as the process ends."""
    logger = logging.getLogger("langdg_d2")
    origin = (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, message, (), origin)
    for handler in logger.handlers:
        stream = getattr(handler, "stream", None)
        if Path(str(getattr(stream, "name", ""))).is_file():
            with suppress(OSError):  # a full disk may be the error
                print(handler.format(record), file=stream, flush=True)


def _message(error: Exception) -> str:
    # A KeyError's text is its message in quotation marks.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    _, from_worker, further = text.partition(_WORKER)
    if from_worker:  # of a loader: the message ends a traceback
        text = further.rpartition(f"{type(error).__name__}: ")[2]
    return text.strip() or type(error).__name__
