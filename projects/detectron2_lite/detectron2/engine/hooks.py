"""Hooks that most trainings use."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.lr_scheduler import LRScheduler as _LRScheduler

from .train_loop import HookBase

__all__ = [
    "BestCheckpointer",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]

logger = logging.getLogger(__name__)


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's periodic checkpointer as a hook."""

    def before_train(self) -> None:
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        self.step(self.trainer.iter)


class BestCheckpointer(HookBase):
    """Saves a checkpoint when a metric is better than ever; stands after the hook that gives it.

    A metric that is not finite is never better.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Any,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        assert mode in ("max", "min"), f"mode {mode!r} is neither 'max' nor 'min'"
        self._period = eval_period
        self._checkpointer = checkpointer
        self._metric = val_metric
        self._sign = 1 if mode == "max" else -1
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._period > 0 and done % self._period == 0 and done != self.trainer.max_iter:
            self._check()

    def after_train(self) -> None:
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._check()

    def _check(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self._metric, (None, None))
        if value is None:
            logger.warning(f"No checkpoint is chosen by {self._metric}, which nothing has reported")
            return
        best = self.best_metric
        if math.isfinite(value) and (best is None or self._sign * (value - best) > 0):
            self._checkpointer.save(self._file_prefix, iteration=iteration)
            self.best_metric, self.best_iter = value, iteration
            logger.info(f"Best {self._metric} so far: {value:.5f} after iteration {iteration}")


class IterationTimer(HookBase):
    """Reports the seconds of every iteration as "time"; has to be the first hook."""

    def __init__(self, warmup_iter: int = 3) -> None:
        self._warmup_iter = warmup_iter
        self._step_timer = Timer()
        self._seconds_in_steps = 0.0

    def before_train(self) -> None:
        self._begin = time.perf_counter()

    def before_step(self) -> None:
        self._step_timer.reset()

    def after_step(self) -> None:
        if self.trainer.iter - self.trainer.start_iter + 1 < self._warmup_iter:
            self._begin = time.perf_counter()
        else:
            seconds = self._step_timer.seconds()
            self._seconds_in_steps += seconds
            self.trainer.storage.put_scalar("time", seconds)

    def after_train(self) -> None:
        total, in_steps = time.perf_counter() - self._begin, self._seconds_in_steps
        steps = self.trainer.iter + 1 - self.trainer.start_iter - self._warmup_iter
        if steps > 0:
            speed = f"{timedelta(seconds=int(in_steps))} ({in_steps / steps:.4f} s / it)"
            logger.info(f"Overall training speed: {steps} iterations in {speed}")
        on_hooks = timedelta(seconds=int(total - in_steps))
        logger.info(f"Total training time: {timedelta(seconds=int(total))} ({on_hooks} on hooks)")


class PeriodicWriter(HookBase):
    """Lets writers write every `period` iterations, after the last, and at the end."""

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            assert isinstance(writer, EventWriter), f"{writer!r} is not an EventWriter"
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done % self._period == 0 or done == self.trainer.max_iter:
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        for writer in self._writers:
            writer.write()  # what other hooks have reported at the end
            writer.close()


class LRScheduler(HookBase):
    """Steps a schedule and reports the learning rate as "lr"; both are the trainer's by default.

    A schedule of fvcore is taken as a factor on the initial rates.
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        scheduler: _LRScheduler | ParamScheduler | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler

    def before_train(self) -> None:
        factor, max_iter = self.scheduler, self.trainer.max_iter
        self._optimizer = self._optimizer or self.trainer.optimizer
        if isinstance(factor, ParamScheduler):
            self._scheduler = LambdaLR(
                self._optimizer, lambda done: factor(done / max_iter), self.trainer.iter - 1
            )
        self._group_id = self.get_best_param_group_id(self._optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: Optimizer) -> int:
        """The group with the most parameters; of several such, one with the commonest rate."""
        rates = Counter(group["lr"] for group in optimizer.param_groups)
        weights = [(len(group["params"]), rates[group["lr"]]) for group in optimizer.param_groups]
        return weights.index(max(weights))

    def after_step(self) -> None:
        rate = self._optimizer.param_groups[self._group_id]["lr"]
        self.trainer.storage.put_scalar("lr", rate, smoothing_hint=False)
        self.scheduler.step()

    @property
    def scheduler(self) -> Any:
        """The schedule in use."""
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict[str, Any]:
        """That of the schedule, once it is one of PyTorch's."""
        return self.scheduler.state_dict() if isinstance(self.scheduler, _LRScheduler) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(self.scheduler, _LRScheduler):
            self.scheduler.load_state_dict(state_dict)


class EvalHook(HookBase):
    """Evaluates every `eval_period` iterations and after a training that did not fail."""

    def __init__(
        self,
        eval_period: int,
        eval_function: Callable[[], Mapping[str, Any] | None],
        eval_after_train: bool = True,
    ) -> None:
        """The function gives nested dicts of numbers, reported like "set/IoU/road", or nothing."""
        self._period = eval_period
        self._func = eval_function
        self._eval_after_train = eval_after_train

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._period > 0 and done % self._period == 0 and done != self.trainer.max_iter:
            self._evaluate()

    def after_train(self) -> None:
        if self._eval_after_train and self.trainer.iter + 1 >= self.trainer.max_iter:
            self._evaluate()
        del self._func  # often holds the trainer

    def _evaluate(self) -> None:
        results = self._func()
        if results:
            for name, value in flatten_results_dict(results).items():
                try:
                    self.trainer.storage.put_scalar(name, float(value), smoothing_hint=False)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"eval_function gave {value!r} for {name}") from error
        comm.synchronize()  # those who evaluate faster wait here, not in the next iteration
