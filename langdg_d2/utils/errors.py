"""The base class of errors, and how commands report them."""

import io
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SHOWN = 3  # items in messages


class LangDGError(Exception):
    """An error that the user can fix; the message says what is wrong and how to fix it."""


def require_int(name: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Check that a setting is a whole number from `least` to `most`.

    Args:
        name: name of the setting, for the message.
        value: value of the setting.
        least: smallest value.
        most: largest value; None for no limit.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise LangDGError(f"{name} is {value!r}, expected a whole number {bounds}")


def shortened(items: Iterable[str]) -> str:
    """Format the first few items and the number of the others."""
    items = list(items)
    more = [f"{len(items) - _SHOWN:,} more"] if len(items) > _SHOWN else []
    return ", ".join([*items[:_SHOWN], *more])


# In addition to the package's errors: files, permissions, disk space, missing packages.
_REPORTED = (LangDGError, OSError, ImportError)

_WORKER = "\nOriginal Traceback (most recent call last):\n"
_LOOP = "detectron2.engine.train_loop"  # logs the error that ends training, with its traceback


@contextmanager
def report_errors() -> Iterator[None]:
    """End the process with one line and exit code 1 for errors that the user can fix.

    These are `LangDGError`, `OSError` and `ImportError`. Any other error is a bug and shows its
    traceback. Log files contain message and traceback in either case, and `python -X dev` shows
    every traceback. Characters that the terminal cannot encode are printed as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        escape_unprintable(stream)
    try:
        with _without_tracebacks():
            yield
    except _REPORTED as error:
        if _is_dev_mode():
            raise
        message = _message(error)
        _log(message, error)
        sys.exit(f"error: {message}")


def escape_unprintable(stream: object) -> None:
    """Make a text stream write characters that it cannot encode as escapes."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _is_dev_mode() -> bool:
    return sys.flags.dev_mode


@contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Keep Detectron2's training loop from logging tracebacks of reported errors."""

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], _REPORTED) and not _is_dev_mode():
            record.exc_info = None
        return True

    loop = logging.getLogger(_LOOP)
    loop.addFilter(shorten)
    try:
        yield
    finally:
        loop.removeFilter(shorten)


def _log(message: str, error: Exception) -> None:
    """Write an error to log files only: the terminal gets its message on exit."""
    logger = logging.getLogger("langdg_d2")
    origin = (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, message, (), origin)
    for handler in logger.handlers:
        stream = getattr(handler, "stream", None)
        if Path(str(getattr(stream, "name", ""))).is_file():
            with suppress(OSError):  # the error may be a full disk
                print(handler.format(record), file=stream, flush=True)


def _message(error: Exception) -> str:
    text = str(error)
    _, from_worker, further = text.partition(_WORKER)
    if from_worker:  # loader workers put a traceback before the message
        text = further.rpartition(f"{type(error).__name__}: ")[2]
    return text.strip() or type(error).__name__
