"""Writers of what training reports, and (imported here) the storage they read."""

import datetime
import json
import logging
import time
from collections import defaultdict
from functools import cached_property
from typing import Any

import torch
from detectron2.utils.file_io import PathManager

from ._event_storage import EventStorage, get_event_storage, has_event_storage

__all__ = [
    "CommonMetricPrinter",
    "EventStorage",
    "EventWriter",
    "JSONWriter",
    "TensorboardXWriter",
    "get_event_storage",
    "has_event_storage",
]


class EventWriter:
    """Passes on what is new in the current storage."""

    def write(self) -> None:
        """Pass it on."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files."""


class CommonMetricPrinter(EventWriter):
    """Logs losses, ``[metric]`` scalars, times, rate and memory, until `max_iter` is reached."""

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        self.logger = logging.getLogger(__name__)
        self._max_iter = max_iter
        self._window_size = window_size
        self._last_write: tuple[int, float] | None = None  # iteration and time

    def _eta(self, storage: EventStorage) -> str | None:
        """The time that is left, where it can be known."""
        if self._max_iter is None:
            return None
        left = self._max_iter - storage.iter - 1
        if "time" in storage.histories():
            seconds = storage.history("time").median(1000) * left
            storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
            return str(datetime.timedelta(seconds=int(seconds)))
        last, self._last_write = self._last_write, (storage.iter, time.perf_counter())
        if last is None or last[0] == storage.iter:
            return None
        each = (time.perf_counter() - last[1]) / (storage.iter - last[0])
        return str(datetime.timedelta(seconds=int(each * left)))

    def write(self) -> None:
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return
        histories = storage.histories()
        parts = [f"iter: {storage.iter}"]
        for marker in ("loss", "[metric]"):
            names = [name for name in histories if marker in name]
            parts += [f"{name}: {storage.median(name, self._window_size):.4g}" for name in names]
        if "time" in histories:
            past = histories["time"]
            parts += [f"time: {past.global_avg():.4f}", f"last_time: {past.latest():.4f}"]
        if eta := self._eta(storage):
            parts.insert(0, f"eta: {eta}")
        if "data_time" in histories:
            past = histories["data_time"]
            mean = past.avg(storage.count_samples("data_time", self._window_size))
            parts += [f"data_time: {mean:.4f}", f"last_data_time: {past.latest():.4f}"]
        parts += [f"lr: {histories['lr'].latest():.5g}" if "lr" in histories else "lr: N/A"]
        if torch.cuda.is_available():
            parts += [f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"]
        self.logger.info("  ".join(parts))


class _ScalarWriter(EventWriter):
    """Remembers up to which iteration scalars are written."""

    def __init__(self, window_size: int) -> None:
        self._window_size = window_size
        self._last_write = -1

    def _fresh_scalars(self) -> list[tuple[str, float, int]]:
        latest = get_event_storage().latest_with_smoothing_hint(self._window_size)
        fresh = [(name, *entry) for name, entry in latest.items() if entry[1] > self._last_write]
        self._last_write = max([self._last_write, *(iteration for _, _, iteration in fresh)])
        return fresh


class JSONWriter(_ScalarWriter):
    """Appends a line to a file for every iteration: a JSON object of its scalars."""

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        super().__init__(window_size)
        self._file = PathManager.open(json_file, "a")

    def write(self) -> None:
        lines: dict[int, dict[str, float]] = defaultdict(dict)
        for name, value, iteration in self._fresh_scalars():
            lines[iteration][name] = value
        for iteration, line in lines.items():
            self._file.write(json.dumps({**line, "iteration": iteration}, sort_keys=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorboardXWriter(_ScalarWriter):
    """Passes scalars and images to TensorBoard."""

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        """The keyword arguments are those of ``torch.utils.tensorboard.SummaryWriter``."""
        super().__init__(window_size)
        self._arguments = {"log_dir": log_dir, **kwargs}

    @cached_property
    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter  # takes long, and makes a file when made

        return SummaryWriter(**self._arguments)

    def write(self) -> None:
        for name, value, iteration in self._fresh_scalars():
            self._writer.add_scalar(name, value, iteration)
        for name, image, iteration in get_event_storage().pop_images():
            self._writer.add_image(name, image, iteration)

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()
