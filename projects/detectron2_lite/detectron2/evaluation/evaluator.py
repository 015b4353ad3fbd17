"""The evaluator interface and the loop that feeds it."""

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


class DatasetEvaluator:
    """Collects what a model gives for a data set, and sums it up."""

    def reset(self) -> None:
        """Forget what was collected, before a pass over the data."""

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Take in what the model was given and what it returned for one batch."""

    def evaluate(self) -> dict[str, Any] | None:
        """{task: {metric: score}}, or None where another process has the results."""


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators as one, with results under different names."""

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self._evaluators = evaluators

    def reset(self) -> None:
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> dict[str, Any]:
        merged: dict[str, Any] = OrderedDict()
        for results in [evaluator.evaluate() for evaluator in self._evaluators]:
            if results is not None and is_main_process():
                shared = merged.keys() & results.keys()
                assert not shared, f"several evaluators give results under {sorted(shared)}"
                merged.update(results)
        return merged


def inference_on_dataset(
    model: Callable[[Any], Any],
    data_loader: Any,
    evaluator: DatasetEvaluator | list[DatasetEvaluator] | None,
    callbacks: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, Any]:
    """Run a model over all batches, without gradients and in eval mode, and evaluate.

    Callbacks are called "on_start", "before_inference" and "after_inference" of every batch, and
    "on_end".
    """

    def call_back(moment: str) -> None:
        if callbacks and moment in callbacks:
            callbacks[moment]()

    total = len(data_loader)
    logger.info(f"Start inference on {total} batches")
    if evaluator is None or isinstance(evaluator, Sequence):
        evaluator = DatasetEvaluators(evaluator or [])
    evaluator.reset()
    warmup = min(5, total - 1)  # slow batches that do not count
    begin = time.perf_counter()
    mode = inference_context(model) if isinstance(model, nn.Module) else nullcontext()
    with mode, torch.no_grad():
        call_back("on_start")
        for done, inputs in enumerate(data_loader):
            if done == warmup:
                begin = time.perf_counter()
            call_back("before_inference")
            outputs = model(inputs)
            call_back("after_inference")
            evaluator.process(inputs, outputs)
            if done >= warmup:
                each = (time.perf_counter() - begin) / (done + 1 - warmup)
                left = timedelta(seconds=int(each * (total - done - 1)))
                message = f"Inference done {done + 1}/{total}. {each:.4f} s/iter. ETA={left}"
                log_every_n_seconds(logging.INFO, message, n=5)
        call_back("on_end")
    seconds = time.perf_counter() - begin
    logger.info(
        f"Total inference time: {timedelta(seconds=seconds)} ({seconds / (total - warmup):.6f} "
        f"s / iter per device, on {get_world_size()} devices)"
    )
    return evaluator.evaluate() or {}


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Eval mode, for the time of the context."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
