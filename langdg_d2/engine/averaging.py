"""Exponential moving averages of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from detectron2.engine import HookBase
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..utils.distributed import without_ddp
from ..utils.errors import LangDGError, require_int


class WeightAverage(HookBase):
    """Averages the trainable weights for evaluations, checkpoints and the final model.

    Checkpoints store the averages as the model's weights and the raw weights as this hook's state,
    from which training resumes exactly. Buffers such as BatchNorm statistics are not averaged.

    Args:
        decay: weight of the previous average in each update, in [0, 1), such as 0.999.
        start_iter: number of iterations before averaging starts; until then, the averages equal
            the weights.
    """

    def __init__(self, *, decay: float, start_iter: int = 0) -> None:
        if not 0 <= decay < 1:
            raise LangDGError(f"decay of averaged weights is {decay}, expected a value in [0, 1)")
        require_int("start_iter of averaged weights", start_iter, 0)
        self._update = get_ema_multi_avg_fn(decay)
        self._start_iter = start_iter
        self._averages: list[Tensor] = []
        self._trained: list[Tensor] = []  # filled while the model holds the averages

    def before_train(self) -> None:
        self._trained = []
        if not self._averages:  # otherwise resumed
            self._averages = _copies(self._weights())

    def after_step(self) -> None:
        weights = [*self._weights().values()]
        if self.trainer.iter < self._start_iter:
            _assign(self._averages, weights)
        else:
            self._update(self._averages, weights, 0)

    def after_train(self) -> None:
        """Leave the averages in the model after a complete run."""
        # The counter is incremented after the last iteration.
        if self.trainer.iter >= self.trainer.max_iter and not self._trained:
            self._trained = _copies(self._weights())
            _assign(self._weights().values(), self._averages)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averages into the model inside the context, and restore the weights after it."""
        if self._trained:
            yield
            return
        weights = self._weights()
        self._trained = _copies(weights)
        try:
            _assign(weights.values(), self._averages)
            yield
        finally:
            _assign(weights.values(), self._trained)
            self._trained = []

    def state_dict(self) -> dict[str, Any]:
        """Return the trained weights. Call it inside `averaged`, as `StrictCheckpointer` does."""
        assert self._trained, "the model's averages would be lost: call it inside `averaged`"
        return {"trained": dict(zip(self._weights(), self._trained, strict=True))}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from a state, after the checkpoint's weights were loaded into the model."""
        weights = self._weights()
        self._averages = _copies(weights)
        _assign(weights.values(), [state_dict["trained"][name] for name in weights])

    def _weights(self) -> dict[str, Tensor]:
        model = without_ddp(self.trainer.model)
        return {name: p for name, p in model.named_parameters() if p.requires_grad}


def averaged(trainer: Any) -> AbstractContextManager[None]:
    """Enter `averaged` of a trainer's `WeightAverage` hook; do nothing without such a hook."""
    for hook in getattr(trainer, "_hooks", ()):
        if isinstance(hook, WeightAverage):
            return hook.averaged()
    return nullcontext()


def _copies(weights: Mapping[str, Tensor]) -> list[Tensor]:
    return [weight.detach().clone() for weight in weights.values()]


@torch.no_grad()
def _assign(to: Any, values: list[Tensor]) -> None:
    for weight, value in zip(to, values, strict=True):
        weight.copy_(value)
