"""Helpers for distributed training."""

from collections.abc import Callable
from typing import TypeVar

from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def of_main_process(work: Callable[[], T]) -> T:
    """Run a function in the main process and broadcast its result or error. Collective.

    Args:
        work: function without collective calls, whose result can be pickled.
    """
    result: T | None = None
    error: Exception | None = None
    if comm.is_main_process():
        try:
            result = work()
        except Exception as caught:
            error = caught
    outcome: tuple[T, Exception | None] = comm.all_gather((result, error))[0]
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def without_ddp(model: nn.Module) -> nn.Module:
    """Return the model inside `DistributedDataParallel`, or the model itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model
