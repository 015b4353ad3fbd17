"""fvcore's parameter schedules as schedules of the learning rate."""

from typing import Any

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["LRMultiplier", "LRScheduler", "WarmupParamScheduler"]


class WarmupParamScheduler(CompositeParamScheduler):
    """Another schedule with a rise at its beginning."""

    def __init__(
        self,
        scheduler: ParamScheduler,
        warmup_factor: float,
        warmup_length: float,
        warmup_method: str = "linear",
        rescale_interval: bool = False,
    ) -> None:
        """
        Args:
            warmup_factor: the first value, as a fraction of the schedule's first.
            warmup_length: the share of training, in [0, 1], that the rise takes.
            warmup_method: "linear" to the schedule's value at the end of the rise, or "constant".
            rescale_interval: squeeze the schedule into what remains instead of cutting its start.
        """
        first = warmup_factor * scheduler(0.0)
        if warmup_method == "linear":
            last = scheduler(0.0 if rescale_interval else warmup_length)
            warmup: ParamScheduler = LinearParamScheduler(first, last)
        elif warmup_method == "constant":
            warmup = ConstantParamScheduler(first)
        else:
            raise ValueError(f'warmup_method is {warmup_method!r}, not "linear" or "constant"')
        super().__init__(
            [warmup, scheduler],
            lengths=[warmup_length, 1 - warmup_length],
            interval_scaling=["rescaled", "rescaled" if rescale_interval else "fixed"],
        )


class LRMultiplier(LRScheduler):
    """Multiplies every learning rate of an optimizer by the schedule's value, at every step."""

    def __init__(
        self, optimizer: Optimizer, multiplier: ParamScheduler, max_iter: int, last_iter: int = -1
    ) -> None:
        """
        Args:
            max_iter: iterations in total, where the schedule's argument reaches 1.
            last_iter: the iteration done last, -1 for none.

        Raises:
            ValueError: if ``multiplier`` is no fvcore schedule.
        """
        if not isinstance(multiplier, ParamScheduler):
            raise ValueError(f"multiplier must be an fvcore ParamScheduler, not {multiplier!r}")
        self._multiplier = multiplier
        self._max_iter = max_iter
        super().__init__(optimizer, last_epoch=last_iter)

    def state_dict(self) -> dict[str, Any]:
        """The initial rates and the iteration; the schedule itself has no state."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}

    def get_lr(self) -> list[Any]:
        """The rates of this iteration, one per parameter group."""
        factor = self._multiplier(self.last_epoch / self._max_iter)
        return [base_lr * factor for base_lr in self.base_lrs]
