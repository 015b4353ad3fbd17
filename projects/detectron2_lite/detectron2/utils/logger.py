"""Set-up of logging, and log calls that do not repeat themselves."""

import atexit
import functools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import IO, Any

from detectron2.utils.file_io import PathManager
from tabulate import tabulate
from termcolor import colored

__all__ = ["log_every_n", "log_every_n_seconds", "log_first_n", "setup_logger"]

_DATE_FORMAT = "%m/%d %H:%M:%S"
_CALL_COUNTS: Counter[Hashable] = Counter()
_LAST_CALLS: dict[Hashable, float] = {}


class _ColorfulFormatter(logging.Formatter):
    """Green head, red mark on warnings and errors, and the root logger's name abbreviated."""

    def __init__(self, *, root_name: str, abbrev_name: str) -> None:
        head = colored("[%(asctime)s %(name)s]: ", "green")
        super().__init__(head + "%(message)s", datefmt=_DATE_FORMAT)
        self._root = root_name + "."
        self._abbreviation = f"{abbrev_name}." if abbrev_name else ""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.name = record.name.replace(self._root, self._abbreviation)
        line = super().formatMessage(record)
        if record.levelno == logging.WARNING:
            return colored("WARNING", "red", attrs=["blink"]) + " " + line
        if record.levelno in (logging.ERROR, logging.CRITICAL):
            return colored("ERROR", "red", attrs=["blink", "underline"]) + " " + line
        return line


@functools.lru_cache  # a second call with the same arguments must not add the handlers again
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
    """Make the logger ``name`` write everything from DEBUG up to stdout (rank 0) and to a file.

    Args:
        output: a ``*.txt`` or ``*.log`` file, or a folder that then gets ``log.txt``; None for no
            file. Ranks above 0 append ``.rank<n>`` to the file name.
        abbrev_name: what stands for ``name`` in lines on stdout, "" for nothing; by default "d2"
            for "detectron2" and no change for others.
        enable_propagation: whether the parent loggers see the records too.
    """
    if abbrev_name is None:
        abbrev_name = "d2" if name == "detectron2" else name
    plain = logging.Formatter(
        "[%(asctime)s] %(name)s %(levelname)s: %(message)s", datefmt=_DATE_FORMAT
    )
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation
    handlers: list[tuple[IO[str], logging.Formatter]] = []
    if configure_stdout and distributed_rank == 0:
        colorful = _ColorfulFormatter(root_name=name, abbrev_name=abbrev_name)
        handlers.append((sys.stdout, colorful if color else plain))
    if output is not None:
        file = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
        if distributed_rank > 0:
            file += f".rank{distributed_rank}"
        handlers.append((_open_log(file), plain))
    for stream, formatter in handlers:
        handler = logging.StreamHandler(stream)
        handler.setLevel(logging.DEBUG)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    return logger


@functools.cache
def _open_log(file: str) -> IO[str]:
    """The log file, opened once even if several loggers write to it, closed at exit."""
    PathManager.mkdirs(os.path.dirname(file))
    stream = PathManager.open(file, "a")
    atexit.register(stream.close)
    return stream


def _find_caller() -> tuple[str, tuple[str, int, str]]:
    """Module name of the first frame outside this file, and (file, line, function) to know it."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    module = frame.f_globals["__name__"]
    place = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    return "detectron2" if module == "__main__" else module, place


def log_first_n(
    lvl: int,
    msg: str,
    n: int = 1,
    *,
    name: str | None = None,
    key: str | tuple[str, ...] = "caller",
) -> None:
    """Log the first ``n`` times only.

    Args:
        name: the logger; by default that of the calling module.
        key: what makes two calls the same: "caller" (the line of code), "message", or both.
    """
    key = (key,) if isinstance(key, str) else key
    assert key, 'key is empty; it may hold "caller" and "message"'
    module, place = _find_caller()
    identity: tuple[Hashable, ...] = ()
    if "caller" in key:
        identity += place
    if "message" in key:
        identity += (msg,)
    _CALL_COUNTS[identity] += 1
    if _CALL_COUNTS[identity] <= n:
        logging.getLogger(name or module).log(lvl, msg)


def log_every_n(lvl: int, msg: str, n: int = 1, *, name: str | None = None) -> None:
    """Log the first of every ``n`` calls from the same line of code."""
    module, place = _find_caller()
    if _CALL_COUNTS[place] % n == 0:
        logging.getLogger(name or module).log(lvl, msg)
    _CALL_COUNTS[place] += 1


def log_every_n_seconds(lvl: int, msg: str, n: float = 1, *, name: str | None = None) -> None:
    """Log from the same line of code at most once in ``n`` seconds."""
    module, place = _find_caller()
    now = time.time()
    if now - _LAST_CALLS.get(place, -float("inf")) >= n:
        _LAST_CALLS[place] = now
        logging.getLogger(name or module).log(lvl, msg)


def create_small_table(small_dict: Mapping[str, Any]) -> str:
    """A pipe table of one row under the keys, numbers to three decimals; not for empty dicts."""
    return tabulate(
        [list(small_dict.values())],
        headers=list(small_dict),
        tablefmt="pipe",
        floatfmt=".3f",
        stralign="center",
        numalign="center",
    )
