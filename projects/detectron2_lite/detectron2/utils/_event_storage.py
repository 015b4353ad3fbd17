"""What training has to say about itself, kept until writers fetch it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from fvcore.common.history_buffer import HistoryBuffer

_CURRENT_STORAGE_STACK: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """The storage of the innermost ``with EventStorage(...)``; AssertionError outside of any."""
    assert _CURRENT_STORAGE_STACK, (
        "get_event_storage() found no storage: call it inside `with EventStorage(...)`."
    )
    return _CURRENT_STORAGE_STACK[-1]


def has_event_storage() -> bool:
    """Whether the code runs inside ``with EventStorage(...)``."""
    return bool(_CURRENT_STORAGE_STACK)


class EventStorage:
    """Scalars over iterations, and images and histograms that wait for a writer.

    As a context manager it becomes what :func:`get_event_storage` returns.
    """

    def __init__(self, start_iter: int = 0) -> None:
        self._history: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._smoothing_hints: dict[str, bool] = {}
        self._latest_scalars: dict[str, tuple[float, int]] = {}
        self._iter = start_iter
        self._current_prefix = ""
        self._vis_data: list[tuple[str, torch.Tensor | np.ndarray, int]] = []
        self._histograms: list[dict[str, Any]] = []

    def put_image(self, img_name: str, img_tensor: torch.Tensor | np.ndarray) -> None:
        """Keep an RGB image (3, H, W), uint8 in [0, 255] or float in [0, 1], for TensorBoard."""
        self._vis_data.append((img_name, img_tensor, self._iter))

    def put_scalar(
        self, name: str, value: float, smoothing_hint: bool = True, cur_iter: int | None = None
    ) -> None:
        """Add a value to the history of ``name`` at this (or the given) iteration.

        Args:
            value: a number or a tensor of one element.
            smoothing_hint: whether writers should show a median rather than the last value; the
                same each time a name is used, else AssertionError.
        """
        name = self._current_prefix + name
        iteration = self._iter if cur_iter is None else cur_iter
        value = float(value)
        known_hint = self._smoothing_hints.setdefault(name, smoothing_hint)
        assert known_hint == smoothing_hint, (
            f"Scalar {name} was put with smoothing_hint={known_hint} before, "
            f"now with {smoothing_hint}."
        )
        self._history[name].update(value, iteration)
        # last, since a writer in another thread looks here for what there is
        self._latest_scalars[name] = (value, iteration)

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: float
    ) -> None:
        """:meth:`put_scalar` for every keyword: ``put_scalars(loss=0.3, accuracy=0.9)``."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def put_histogram(self, hist_name: str, hist_tensor: torch.Tensor, bins: int = 1000) -> None:
        """Keep the histogram of a float tensor, in ``bins`` equal steps from its min to its max."""
        low, high = hist_tensor.min().item(), hist_tensor.max().item()
        edges = torch.linspace(low, high, bins + 1, dtype=torch.float32)
        self._histograms.append(
            {  # the arguments of SummaryWriter.add_histogram_raw
                "tag": hist_name,
                "global_step": self._iter,
                "min": low,
                "max": high,
                "num": len(hist_tensor),
                "sum": hist_tensor.sum().item(),
                "sum_squares": hist_tensor.square().sum().item(),
                "bucket_limits": edges[1:].tolist(),
                "bucket_counts": torch.histc(hist_tensor, bins=bins).tolist(),
            }
        )

    def history(self, name: str) -> HistoryBuffer:
        """The history of one scalar; KeyError if nothing was ever put under that name."""
        if name not in self._history:
            raise KeyError(f"No history metric available for {name}!")
        return self._history[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """The histories of all scalars."""
        return self._history

    def latest(self) -> dict[str, tuple[float, int]]:
        """The last value of every scalar and the iteration it is from."""
        return self._latest_scalars

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """As :meth:`latest`, with the median over a window of iterations where hinted."""
        return {
            name: (self._median(name, window_size) if self._smoothing_hints[name] else value, at)
            for name, (value, at) in list(self._latest_scalars.items())
        }

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """How many values of ``name`` come from the last ``window_size`` iterations it covers.

        Counts backwards and stops at the first value older than that.
        """
        iterations = [iteration for _, iteration in self._history[name].values()]
        oldest = iterations[-1] - window_size
        for count, iteration in enumerate(reversed(iterations)):
            if iteration <= oldest:
                return count
        return len(iterations)

    def _median(self, name: str, window_size: int) -> float:
        return self._history[name].median(self.count_samples(name, window_size))

    def smoothing_hints(self) -> dict[str, bool]:
        """For every scalar, whether writers should smooth it."""
        return self._smoothing_hints

    def step(self) -> None:
        """Go on to the next iteration; an alternative to setting :attr:`iter`."""
        self._iter += 1

    @property
    def iter(self) -> int:
        """The iteration that new values belong to."""
        return self._iter

    @iter.setter
    def iter(self, val: int) -> None:
        self._iter = int(val)

    @property
    def iteration(self) -> int:
        """Older name of :attr:`iter`."""
        return self._iter

    def __enter__(self) -> "EventStorage":
        _CURRENT_STORAGE_STACK.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        left = _CURRENT_STORAGE_STACK.pop()
        assert left is self, "EventStorage contexts were left in the wrong order"

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Inside, the names of scalars are prefixed by ``name/``; an inner scope replaces it."""
        outer, self._current_prefix = self._current_prefix, name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._current_prefix = outer

    def clear_images(self) -> None:
        """Forget the waiting images, once they are written."""
        self._vis_data = []

    def clear_histograms(self) -> None:
        """Forget the waiting histograms, once they are written."""
        self._histograms = []
