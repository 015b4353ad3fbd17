"""Hooks that evaluate during training, and keep the best checkpoint."""

import logging
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from fvcore.common.checkpoint import Checkpointer

from ._trainer_base import HookBase, TrainerBase

# the public module's name, by which users know and filter these messages
logger = logging.getLogger("detectron2.engine.hooks")


class EvalHook(HookBase):
    """Evaluates every ``eval_period`` iterations and after a training that did not fail."""

    def __init__(
        self,
        eval_period: int,
        eval_function: Callable[[], Mapping[str, Any] | None],
        eval_after_train: bool = True,
    ) -> None:
        """
        Args:
            eval_period: 0 for no evaluation before the end.
            eval_function: returns a nested dict of numbers, put in the storage under keys like
                "set/IoU/road", or nothing. All processes must have the hook.
        """
        self._period = eval_period
        self._func = eval_function
        self._eval_after_train = eval_after_train

    def _evaluate(self) -> None:
        results = self._func()
        if results:
            assert isinstance(results, dict), f"Eval function must return a dict. Got {results!r}."
            for name, value in flatten_results_dict(results).items():
                self.trainer.storage.put_scalar(name, _number(name, value), smoothing_hint=False)
        comm.synchronize()  # processes that evaluate faster wait here, not in the next iteration

    def after_step(self) -> None:
        if _is_due(self.trainer, self._period):
            self._evaluate()

    def after_train(self) -> None:
        if self._eval_after_train and _is_complete(self.trainer):
            self._evaluate()
        del self._func  # often holds the trainer


def _is_due(trainer: TrainerBase, period: int) -> bool:
    """Whether a multiple of ``period`` iterations is done, other than all: see _is_complete."""
    done = trainer.iter + 1
    return period > 0 and done % period == 0 and done != trainer.max_iter


def _is_complete(trainer: TrainerBase) -> bool:
    """In after_train: whether training came to its end."""
    return trainer.iter + 1 >= trainer.max_iter


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"[EvalHook] eval_function should return a nested dict of float. Got {name}: {value!r}."
        ) from error


class BestCheckpointer(HookBase):
    """Saves a checkpoint when a metric is the best so far.

    Runs when the EvalHook with the same period does and reads what that put in the storage, so
    it comes after it. Metrics that are not finite are never the best.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Checkpointer,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        """
        Args:
            val_metric: its name in the storage.
            mode: "max" or "min", whichever is better.
            file_prefix: the file's name without extension; it is overwritten.
        """
        assert mode in ("max", "min"), f'mode is {mode!r}, expected "max" or "min"'
        self._period = eval_period
        self._checkpointer = checkpointer
        self._val_metric = val_metric
        self._is_better = operator.gt if mode == "max" else operator.lt
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def _check(self) -> None:
        entry = self.trainer.storage.latest().get(self._val_metric)
        if entry is None:
            logger.warning(
                f"There is no metric {self._val_metric} in the storage to choose the best "
                "checkpoint by; is the EvalHook before this hook?"
            )
            return
        metric, iteration = entry
        best = self.best_metric
        if not math.isfinite(metric) or (best is not None and not self._is_better(metric, best)):
            logger.info(
                f"Not saved: {self._val_metric} is {metric:0.5f}, the best is {best} of "
                f"iteration {self.best_iter}"
            )
            return
        self._checkpointer.save(self._file_prefix, iteration=iteration)
        logger.info(f"Saved {self._file_prefix}: {self._val_metric} is {metric:0.5f}, was {best}")
        self.best_metric, self.best_iter = metric, iteration

    def after_step(self) -> None:
        if _is_due(self.trainer, self._period):
            self._check()

    def after_train(self) -> None:
        if _is_complete(self.trainer):
            self._check()
