"""Set-up of logging, and log calls that do not repeat themselves."""

import atexit
import functools
import logging
import os
import sys
import time
from collections import Counter
from typing import IO, Any

from detectron2.utils.file_io import PathManager
from termcolor import colored

__all__ = ["log_every_n_seconds", "log_first_n", "setup_logger"]

_DATE_FORMAT = "%m/%d %H:%M:%S"
_PLAIN = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_CALL_COUNTS: Counter[tuple[Any, ...]] = Counter()
_LAST_CALLS: dict[tuple[str, int], float] = {}


class _ColorfulFormatter(logging.Formatter):
    """Green heads, red marks on warnings and errors, and the logger's root name abbreviated."""

    def __init__(self, root_name: str, abbreviation: str) -> None:
        head = colored("[%(asctime)s %(name)s]: ", "green")
        super().__init__(head + "%(message)s", datefmt=_DATE_FORMAT)
        self._root = root_name + "."
        self._abbreviation = abbreviation and abbreviation + "."

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.name = record.name.replace(self._root, self._abbreviation)
        line = super().formatMessage(record)
        if record.levelno < logging.WARNING:
            return line
        mark = "WARNING" if record.levelno < logging.ERROR else "ERROR"
        return colored(mark, "red", attrs=["blink"]) + " " + line


@functools.lru_cache  # a second call with the same arguments must not add handlers
def setup_logger(
    output: str | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "detectron2",
    abbrev_name: str | None = None,
    enable_propagation: bool = False,
    configure_stdout: bool = True,
) -> logging.Logger:
    """Let a logger write to stdout, in rank 0, and to a file, or `log.txt` of a folder."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation
    plain = logging.Formatter(_PLAIN, datefmt=_DATE_FORMAT)
    if abbrev_name is None:
        abbrev_name = "d2" if name == "detectron2" else name
    if configure_stdout and distributed_rank == 0:
        console = logging.StreamHandler(sys.stdout)
        console.setFormatter(_ColorfulFormatter(name, abbrev_name) if color else plain)
        logger.addHandler(console)
    if output is not None:
        path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
        path += f".rank{distributed_rank}" if distributed_rank else ""
        file = logging.StreamHandler(_open_log(path))
        file.setFormatter(plain)
        logger.addHandler(file)
    return logger


@functools.cache
def _open_log(path: str) -> IO[str]:
    """The file, opened once for all loggers that write to it."""
    PathManager.mkdirs(os.path.dirname(path))
    stream = PathManager.open(path, "a")
    atexit.register(stream.close)
    return stream


def _caller() -> tuple[str, tuple[str, int]]:
    """Module name and place of the call into this file."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    module = frame.f_globals["__name__"]
    return "detectron2" if module == "__main__" else module, place


def log_first_n(
    lvl: int,
    msg: str,
    n: int = 1,
    *,
    name: str | None = None,
    key: str | tuple[str, ...] = "caller",
) -> None:
    """Log the first `n` calls from this line of code, by default to the module's logger.

    With the key "message" those of this message count, with both those of this message from here.
    """
    module, place = _caller()
    parts = {"caller": place, "message": msg}
    call = tuple(parts[name] for name in ([key] if isinstance(key, str) else key))
    _CALL_COUNTS[call] += 1
    if _CALL_COUNTS[call] <= n:
        logging.getLogger(name or module).log(lvl, msg)


def log_every_n_seconds(lvl: int, msg: str, n: float = 1, *, name: str | None = None) -> None:
    """Log calls from this line of code at most once in `n` seconds."""
    module, place = _caller()
    now = time.time()
    if now - _LAST_CALLS.get(place, -float("inf")) >= n:
        _LAST_CALLS[place] = now
        logging.getLogger(name or module).log(lvl, msg)
