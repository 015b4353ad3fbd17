"""Seconds go to the phases that took them."""

import time

import numpy as np
import pytest

from langdg_d2.benchmarking.timing import TOTAL, PhaseTimer, Timings, measure
from langdg_d2.utils.errors import LangDGError


class Clock:
    """Time that passes only where it is told to."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_phases_are_summed_over_their_calls_and_the_total_holds_the_rest(clock):
    timer = PhaseTimer("cpu")
    trunk, head = timer.timed(clock.sleep, "trunk"), timer.timed(clock.sleep, "head")

    def step():
        trunk(1)
        trunk(2)
        head(4)
        clock.sleep(8)

    assert timer.run(step) == {"trunk": 3, "head": 4, TOTAL: 15}
    assert timer.run(lambda: head(5)) == {"head": 5, TOTAL: 5}


def test_a_watched_method_still_gives_its_result(clock):
    class Layer:
        def forward(self, x, *, factor):
            clock.sleep(2)
            return x * factor

    layer, timer = Layer(), PhaseTimer("cpu")
    timer.watch(layer, "forward", "layer")
    results = []
    assert timer.run(lambda: results.append(layer.forward(3, factor=5))) == {"layer": 2, TOTAL: 2}
    assert results == [15]


def test_steps_of_the_warmup_are_not_counted(clock):
    durations = iter([100, 50, 3, 1, 2])
    timings = measure(lambda: clock.sleep(next(durations)), PhaseTimer("cpu"), warmup=2, repeats=3)
    assert timings.seconds == {TOTAL: [3, 1, 2]}
    assert (timings.median(), timings.spread()) == (2, 1)


def test_a_phase_that_a_step_lacks_took_no_time():
    timings = Timings()
    for step in ({TOTAL: 1.0}, {TOTAL: 2.0, "data": 0.5}, {TOTAL: 3.0}):
        timings.add(step)
    assert timings.seconds == {TOTAL: [1, 2, 3], "data": [0, 0.5, 0]}


@pytest.mark.parametrize(("warmup", "repeats"), [(-1, 1), (0, 0)])
def test_nothing_to_measure_is_refused(warmup, repeats):
    with pytest.raises(LangDGError, match="expected 1 and 0 at least"):
        measure(lambda: np.ones(1), PhaseTimer("cpu"), warmup=warmup, repeats=repeats)
