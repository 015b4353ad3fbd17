"""Those who read the storage of training figures, and (imported here) the storage itself."""

import datetime
import json
import logging
import os
import time
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from detectron2.utils.file_io import PathManager

from ._event_storage import EventStorage, get_event_storage, has_event_storage

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

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
    """Base of all that reads the current storage and passes it on."""

    def write(self) -> None:
        """Pass on what is new in the current storage."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files."""


class JSONWriter(EventWriter):
    """Appends scalars to a file, one JSON object with sorted keys per iteration and line."""

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        self._file = PathManager.open(json_file, "a")
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        scalars = get_event_storage().latest_with_smoothing_hint(self._window_size)
        lines: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in scalars.items():
            if iteration > self._last_write:
                lines[iteration][name] = value
        self._last_write = max([self._last_write, *lines])
        for iteration, line in lines.items():
            self._file.write(json.dumps({**line, "iteration": iteration}, sort_keys=True) + "\n")
        self._file.flush()
        if hasattr(self._file, "fileno"):  # a remote file has none
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class TensorboardXWriter(EventWriter):
    """Passes scalars, images and histograms to TensorBoard; images and histograms only once."""

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        """Args: kwargs: further arguments of ``torch.utils.tensorboard.SummaryWriter``."""
        self._window_size = window_size
        self._writer_args = {"log_dir": log_dir, **kwargs}
        self._last_write = -1

    @cached_property
    def _writer(self) -> "SummaryWriter":
        # Imported late, since slow; made late, since it creates a file.
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(**self._writer_args)

    def write(self) -> None:
        storage = get_event_storage()
        scalars = storage.latest_with_smoothing_hint(self._window_size)
        fresh = {name: entry for name, entry in scalars.items() if entry[1] > self._last_write}
        for name, (value, iteration) in fresh.items():
            self._writer.add_scalar(name, value, iteration)
        self._last_write = max([self._last_write, *(at for _, at in fresh.values())])
        for name, image, iteration in storage._vis_data:
            self._writer.add_image(name, image, iteration)
        storage.clear_images()
        for histogram in storage._histograms:
            self._writer.add_histogram_raw(**histogram)
        storage.clear_histograms()

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()


class CommonMetricPrinter(EventWriter):
    """Logs one line on the training: time left, losses, ``[metric]`` scalars, speed, rate, memory.

    Writes nothing once ``max_iter`` is reached.
    """

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        """Args: max_iter: iterations in total; without it no time left is given."""
        self.logger = logging.getLogger(__name__)
        self._max_iter = max_iter
        self._window_size = window_size
        self._last_write: tuple[int, float] | None = None  # iteration and clock of the last call

    def _seconds_left(self, storage: EventStorage) -> float | None:
        assert self._max_iter is not None
        iterations_left = self._max_iter - storage.iter - 1
        if "time" in storage.histories():
            seconds = storage.history("time").median(1000) * iterations_left
            storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
            return seconds
        # Without a timer the writer's own clock gives a rougher figure.
        now, before = time.perf_counter(), self._last_write
        self._last_write = (storage.iter, now)
        if before is None or before[0] == storage.iter:
            return None
        return (now - before[1]) / (storage.iter - before[0]) * iterations_left

    def _medians(self, storage: EventStorage, marker: str) -> str:
        return "  ".join(
            f"{name}: {storage._median(name, self._window_size):.4g}"
            for name in list(storage.histories())
            if marker in name
        )

    def write(self) -> None:
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return
        histories = storage.histories()
        left = None if self._max_iter is None else self._seconds_left(storage)
        eta = "" if left is None else f"eta: {datetime.timedelta(seconds=int(left))}  "
        times = ""
        if "time" in histories:
            past = histories["time"]
            times += f"time: {past.global_avg():.4f}  last_time: {past.latest():.4f}  "
        if "data_time" in histories:
            past = histories["data_time"]
            mean = past.avg(storage.count_samples("data_time", self._window_size))
            times += f"data_time: {mean:.4f}  last_data_time: {past.latest():.4f}  "
        rate = f"{histories['lr'].latest():.5g}" if "lr" in histories else "N/A"
        losses, others = self._medians(storage, "loss"), self._medians(storage, "[metric]")
        memory = ""
        if torch.cuda.is_available():
            memory = f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
        self.logger.info(
            f" {eta}iter: {storage.iter}  {losses}  {others}  {times} lr: {rate}  {memory}"
        )
