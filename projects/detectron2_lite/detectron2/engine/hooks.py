"""Hooks that most trainings use."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from detectron2.solver import LRMultiplier
from detectron2.solver import LRScheduler as _LRScheduler
from detectron2.utils.events import EventWriter
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer
from torch.optim import Optimizer

from ._evaluation_hooks import BestCheckpointer, EvalHook
from .train_loop import HookBase, TrainerBase

__all__ = [
    "BestCheckpointer",
    "CallbackHook",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]

_Callback = Callable[[TrainerBase], None]
logger = logging.getLogger(__name__)


class CallbackHook(HookBase):
    """Calls functions of the trainer, each at the moment it is given for."""

    def __init__(
        self,
        *,
        before_train: _Callback | None = None,
        after_train: _Callback | None = None,
        before_step: _Callback | None = None,
        after_step: _Callback | None = None,
    ) -> None:
        self._callbacks = {
            "before_train": before_train,
            "after_train": after_train,
            "before_step": before_step,
            "after_step": after_step,
        }

    def _call(self, moment: str) -> None:
        callback = self._callbacks.get(moment)
        if callback is not None:
            callback(self.trainer)

    def before_train(self) -> None:
        self._call("before_train")

    def after_train(self) -> None:
        self._call("after_train")
        self._callbacks.clear()  # functions often hold the trainer, which holds this hook

    def before_step(self) -> None:
        self._call("before_step")

    def after_step(self) -> None:
        self._call("after_step")


class IterationTimer(HookBase):
    """Puts the seconds of every iteration in the storage as "time", and logs a summary.

    Measures from its ``before_step`` to its ``after_step``: let it be the first hook.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        """Args: warmup_iter: iterations at the start that are slow and not counted."""
        self._warmup_iter = warmup_iter
        self._step_timer = Timer()
        self._total_timer = Timer()
        self._start_time = time.perf_counter()

    def _restart(self) -> None:
        self._start_time = time.perf_counter()
        self._total_timer.reset()

    def before_train(self) -> None:
        self._restart()
        self._total_timer.pause()

    def before_step(self) -> None:
        self._step_timer.reset()
        self._total_timer.resume()

    def after_step(self) -> None:
        steps_done = self.trainer.storage.iter - self.trainer.start_iter + 1
        if steps_done < self._warmup_iter:
            self._restart()
        else:
            self.trainer.storage.put_scalars(time=self._step_timer.seconds())
        self._total_timer.pause()

    def after_train(self) -> None:
        total = time.perf_counter() - self._start_time
        in_steps = self._total_timer.seconds()
        steps = self.trainer.storage.iter + 1 - self.trainer.start_iter - self._warmup_iter
        if steps > 0 and in_steps > 0:
            logger.info(
                f"Overall training speed: {steps} iterations in "
                f"{timedelta(seconds=int(in_steps))} ({in_steps / steps:.4f} s / it)"
            )
        on_hooks = timedelta(seconds=int(total - in_steps))
        logger.info(f"Total training time: {timedelta(seconds=int(total))} ({on_hooks} on hooks)")


class PeriodicWriter(HookBase):
    """Lets writers write every ``period`` iterations, after the last, and once more at the end."""

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
            writer.write()  # what other hooks have put at the end
            writer.close()


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's periodic checkpointer as a hook: every ``period`` iterations and after the last."""

    def before_train(self) -> None:
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        self.step(self.trainer.iter)


class LRScheduler(HookBase):
    """Steps a schedule of the learning rate, and puts the rate used in the storage as "lr"."""

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        scheduler: _LRScheduler | ParamScheduler | None = None,
    ) -> None:
        """
        Args:
            optimizer: by default the trainer's.
            scheduler: PyTorch's, or fvcore's as a factor on the initial rates; by default the
                trainer's.
        """
        self._optimizer = optimizer
        self._scheduler = scheduler

    def before_train(self) -> None:
        optimizer = self._optimizer = self._optimizer or self.trainer.optimizer
        if isinstance(self.scheduler, ParamScheduler):
            self._scheduler = LRMultiplier(
                optimizer, self.scheduler, self.trainer.max_iter, last_iter=self.trainer.iter - 1
            )
        self._best_param_group_id = self.get_best_param_group_id(optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: Optimizer) -> int:
        """The group whose rate stands for all: the largest, or one with the commonest rate.

        The latter if all groups hold a single parameter.
        """
        groups = optimizer.param_groups
        sizes = [len(group["params"]) for group in groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        assert self._optimizer is not None
        rate = self._optimizer.param_groups[self._best_param_group_id]["lr"]
        self.trainer.storage.put_scalar("lr", rate, smoothing_hint=False)
        self.scheduler.step()

    @property
    def scheduler(self) -> Any:
        """The schedule given, or the trainer's."""
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state, once it is one of PyTorch's."""
        return self.scheduler.state_dict() if isinstance(self.scheduler, _LRScheduler) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(self.scheduler, _LRScheduler):
            logger.info("Loading scheduler from state_dict ...")
            self.scheduler.load_state_dict(state_dict)
