"""Where the time of a repeated step goes, by named phases."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from ..utils.errors import LangDGError

P = ParamSpec("P")
R = TypeVar("R")

TOTAL = "total"


@dataclass
class Timings:
    """Seconds of repeated steps.

    Attributes:
        seconds: by phase, a number for each step; `TOTAL` is the whole step, which also holds what
            belongs to no phase.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: dict[str, float]) -> None:
        """Count a step; a phase that it lacks took no time."""
        steps = len(self.seconds.get(TOTAL, ()))
        for phase in {**self.seconds, **step}:
            self.seconds.setdefault(phase, [0.0] * steps).append(step.get(phase, 0.0))

    def median(self, phase: str = TOTAL) -> float:
        """Median over the steps."""
        return float(np.median(self.seconds[phase]))

    def spread(self, phase: str = TOTAL) -> float:
        """Interquartile range over the steps."""
        low, high = np.percentile(self.seconds[phase], [25, 75])
        return float(high - low)


class PhaseTimer:
    """Times the phases of a step, on an accelerator by its own events, so that nothing waits.

    Args:
        device_type: such as "cpu".
    """

    def __init__(self, device_type: str) -> None:
        self._clock = None if device_type == "cpu" else torch.get_device_module(device_type)
        self._marks: list[tuple[str, Any, Any]] = []

    def timed(self, function: Callable[P, R], phase: str) -> Callable[P, R]:
        """The function, whose calls count for a phase."""

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            begin = self._mark()
            result = function(*args, **kwargs)
            self._marks.append((phase, begin, self._mark()))
            return result

        return call

    def watch(self, owner: object, method: str, phase: str) -> None:
        """Count the calls of an object's method for a phase."""
        setattr(owner, method, self.timed(getattr(owner, method), phase))

    def run(self, step: Callable[[], object]) -> dict[str, float]:
        """Run a step; returns the seconds of its phases and, as `TOTAL`, of all of it."""
        self._marks = []
        self.timed(step, TOTAL)()
        if self._clock is not None:
            self._clock.synchronize()
        seconds: dict[str, float] = {}
        for phase, begin, end in self._marks:
            seconds[phase] = seconds.get(phase, 0.0) + self._between(begin, end)
        return seconds

    def _mark(self) -> Any:
        if self._clock is None:
            return time.perf_counter()
        event = self._clock.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, begin: Any, end: Any) -> float:
        return end - begin if self._clock is None else begin.elapsed_time(end) / 1000


def measure(step: Callable[[], object], timer: PhaseTimer, *, warmup: int, repeats: int) -> Timings:
    """Time a step over and over.

    Args:
        step: what is repeated.
        timer: that watches its phases.
        warmup: steps that are not counted.
        repeats: steps that are.

    Raises:
        LangDGError: if no step would be counted.
    """
    if repeats < 1 or warmup < 0:
        raise LangDGError(
            f"{repeats} repeats after {warmup} for warm-up; expected 1 and 0 at least"
        )
    timings = Timings()
    for number in range(warmup + repeats):
        seconds = timer.run(step)
        if number >= warmup:
            timings.add(seconds)
    return timings
