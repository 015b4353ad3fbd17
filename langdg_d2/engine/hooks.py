"""Trainer hooks that Detectron2 does not have."""

import warnings
from contextlib import ExitStack
from typing import Any

from detectron2.engine import HookBase, hooks
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


class ProgressBar(HookBase):
    """A bar with rate, remaining time and loss; only on a terminal, log lines pass above it.

    Args:
        loggers: loggers whose console output goes through the bar while it runs.
        period: iterations between updates of the loss shown.
    """

    def __init__(self, *, loggers: list, period: int) -> None:
        self._loggers = loggers
        self._period = period
        self._cleanup = ExitStack()

    def before_train(self) -> None:
        self._cleanup.enter_context(logging_redirect_tqdm(self._loggers))
        self._bar = self._cleanup.enter_context(
            tqdm(
                total=self.trainer.max_iter,
                initial=self.trainer.start_iter,
                desc="training",
                unit="it",
                disable=None,
                dynamic_ncols=True,
            )
        )

    def after_step(self) -> None:
        self._bar.update()
        if self.trainer.iter % self._period == 0 and not self._bar.disable:
            loss = self.trainer.storage.latest().get("total_loss")
            if loss is not None:
                self._bar.set_postfix(loss=f"{loss[0]:.3f}", refresh=False)

    def after_train(self) -> None:
        self._cleanup.close()


class EvalHook(hooks.EvalHook):
    """Detectron2's hook, but a run that ends in its last iteration, too, is not evaluated.

    Where a signal or an error in one process ends it, the others may be anywhere.
    """

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:  # counted when the last iteration is done
            super().after_train()


class LRScheduler(hooks.LRScheduler):
    """Detectron2's hook, but a resumed schedule is the config's, from its first iteration on.

    Schedules of torch follow from their settings and the number of steps, which are taken anew.
    """

    _steps = 0

    def before_train(self) -> None:
        super().before_train()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of schedules that step before their optimizer
            for _ in range(self.trainer.start_iter - self._steps):  # after an earlier train()
                self.scheduler.step()
        self._steps = self.trainer.start_iter

    def after_step(self) -> None:
        super().after_step()
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: an earlier schedule's rates do not count."""
