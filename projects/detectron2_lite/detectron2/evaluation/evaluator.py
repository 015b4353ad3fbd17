"""The evaluator interface and the loop that feeds it."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from detectron2.utils.comm import get_world_size, is_main_process
from detectron2.utils.logger import log_every_n_seconds
from torch import nn

logger = logging.getLogger(__name__)

Results = dict[str, Any]


class DatasetEvaluator:
    """Collects inputs and outputs of a model over a data set and sums them up at the end."""

    def reset(self) -> None:
        """Forget what was collected; called before every pass over the data."""

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Take in one batch: what the model was given and what it returned."""

    def evaluate(self) -> Results | None:
        """The results, by custom {task: {metric: score}}; None where another process has them."""


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators as one; their results are merged."""

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        super().__init__()
        self._evaluators = evaluators

    def reset(self) -> None:
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> Results:
        """Results of all, on the main process; raises AssertionError if two use the same key."""
        merged: Results = OrderedDict()
        for evaluator in self._evaluators:
            part = evaluator.evaluate()
            if part is None or not is_main_process():
                continue
            shared = merged.keys() & part.keys()
            assert not shared, f"several evaluators give results under {sorted(shared)}"
            merged.update(part)
        return merged


class _Stopwatch:
    """Seconds spent per phase. It starts over once the first, slow batches are through."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.warmup = min(5, total - 1)
        self._restart()

    def _restart(self) -> None:
        self.begin = time.perf_counter()
        self.seconds = {"data": 0.0, "compute": 0.0, "eval": 0.0}

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - begin

    def iterate(self, batches: Any) -> Iterator[tuple[int, Any]]:
        """Number and measure the batches."""
        stream = enumerate(batches)
        while True:
            with self.measure("data"):
                numbered = next(stream, None)
            if numbered is None:
                return
            if numbered[0] == self.warmup:
                self._restart()
            yield numbered

    def log_progress(self, index: int) -> None:
        counted = index + 1 - (self.warmup if index >= self.warmup else 0)
        each = {phase: spent / counted for phase, spent in self.seconds.items()}
        if index < 2 * self.warmup and each["compute"] <= 5:
            return
        whole = (time.perf_counter() - self.begin) / counted
        left = timedelta(seconds=int(whole * (self.total - index - 1)))
        phases = ", ".join(f"{phase} {spent:.4f}" for phase, spent in each.items())
        message = f"Inference done {index + 1}/{self.total}. s/iter: {phases}, total {whole:.4f}."
        log_every_n_seconds(logging.INFO, f"{message} ETA={left}", n=5)

    def log_total(self) -> None:
        counted, devices = self.total - self.warmup, get_world_size()
        spent = {"": time.perf_counter() - self.begin, "pure compute ": self.seconds["compute"]}
        for kind, seconds in spent.items():
            logger.info(
                f"Total inference {kind}time: {timedelta(seconds=seconds)} "
                f"({seconds / counted:.6f} s / iter per device, on {devices} devices)"
            )


def inference_on_dataset(
    model: Callable[[Any], Any],
    data_loader: Any,
    evaluator: DatasetEvaluator | list[DatasetEvaluator] | None,
    callbacks: Mapping[str, Callable[[], Any]] | None = None,
) -> Results:
    """Run a model over all batches without gradients, evaluate, and log the speed.

    Args:
        model: a function of a batch. A module is in eval mode meanwhile.
        data_loader: yields batches and has a length.
        evaluator: one, a list, or None to measure the speed only.
        callbacks: functions without arguments to call "on_start", "before_inference",
            "after_inference" (both once per batch) and "on_end".

    Returns:
        What the evaluator returns, or {} if that is None.
    """
    logger.info("Start inference on %d batches", len(data_loader))
    if evaluator is None or isinstance(evaluator, Sequence):
        evaluator = DatasetEvaluators(evaluator or [])
    evaluator.reset()

    def call(event: str) -> None:
        if callbacks and event in callbacks:
            callbacks[event]()

    watch = _Stopwatch(len(data_loader))
    mode = inference_context(model) if isinstance(model, nn.Module) else nullcontext()
    with mode, torch.no_grad():
        call("on_start")
        for index, inputs in watch.iterate(data_loader):
            with watch.measure("compute"):
                call("before_inference")
                outputs = model(inputs)
                call("after_inference")
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            with watch.measure("eval"):
                evaluator.process(inputs, outputs)
            watch.log_progress(index)
        call("on_end")
    watch.log_total()
    results = evaluator.evaluate()
    return {} if results is None else results


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Eval mode for the time of the context; the mode before is restored, after an error too."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
