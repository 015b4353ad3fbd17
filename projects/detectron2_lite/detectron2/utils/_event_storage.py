"""What training reports about itself, until writers fetch it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from fvcore.common.history_buffer import HistoryBuffer

_STORAGES: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """The storage of the innermost ``with EventStorage(...)``."""
    assert _STORAGES, "get_event_storage() has to be called inside `with EventStorage(...)`"
    return _STORAGES[-1]


def has_event_storage() -> bool:
    """Whether the code runs inside ``with EventStorage(...)``."""
    return bool(_STORAGES)


class EventStorage:
    """Histories of scalars, and images that wait for a writer; see `get_event_storage`."""

    def __init__(self, start_iter: int = 0) -> None:
        self.iter = start_iter
        self._histories: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._smoothing_hints: dict[str, bool] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        self._prefix = ""
        self._images: list[tuple[str, torch.Tensor | np.ndarray, int]] = []

    def put_scalar(
        self, name: str, value: float, smoothing_hint: bool = True, cur_iter: int | None = None
    ) -> None:
        """Add a number, or a tensor of one, to a history that writers should smooth or not."""
        name = self._prefix + name
        hint = self._smoothing_hints.setdefault(name, smoothing_hint)
        assert hint == smoothing_hint, f"scalar {name} had smoothing_hint={hint} before"
        self._latest[name] = float(value), self.iter if cur_iter is None else cur_iter
        self._histories[name].update(*self._latest[name])

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: float
    ) -> None:
        """`put_scalar` for every keyword."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint, cur_iter)

    def put_image(self, img_name: str, img_tensor: torch.Tensor | np.ndarray) -> None:
        """Keep an RGB image (3, H, W), uint8 or float in [0, 1], for TensorBoard."""
        self._images.append((img_name, img_tensor, self.iter))

    def pop_images(self) -> list[tuple[str, torch.Tensor | np.ndarray, int]]:
        """Name, image and iteration of the images that wait, which then wait no more."""
        images, self._images = self._images, []
        return images

    def history(self, name: str) -> HistoryBuffer:
        """The history of a scalar; KeyError if there is none."""
        if name not in self._histories:
            raise KeyError(f"there is no scalar {name}, only {sorted(self._histories)}")
        return self._histories[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """All histories by name."""
        return self._histories

    def latest(self) -> dict[str, tuple[float, int]]:
        """The last value of every scalar and its iteration."""
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """As `latest`, with the median over a window of iterations where that is hinted."""
        return {
            name: (self.median(name, window_size) if self._smoothing_hints[name] else value, at)
            for name, (value, at) in self._latest.items()
        }

    def smoothing_hints(self) -> dict[str, bool]:
        """Which scalars writers should smooth."""
        return self._smoothing_hints

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """How many values at the end of a history are from its last `window_size` iterations."""
        values = self._histories[name].values()
        too_old = values[-1][1] - window_size
        return next((k for k, (_, at) in enumerate(reversed(values)) if at <= too_old), len(values))

    def median(self, name: str, window_size: int) -> float:
        """The median of a scalar over that window."""
        return self._histories[name].median(self.count_samples(name, window_size))

    def step(self) -> None:
        """Go on to the next iteration, as does setting `iter`."""
        self.iter += 1

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Inside, names of scalars begin with ``name/``; an inner scope replaces an outer one."""
        outer, self._prefix = self._prefix, name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._prefix = outer

    def __enter__(self) -> "EventStorage":
        _STORAGES.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert _STORAGES.pop() is self, "EventStorage contexts were left in the wrong order"
