"""Parameter groups of optimizers, and schedules of the learning rate."""

from .build import get_default_optimizer_params
from .lr_scheduler import LRMultiplier, LRScheduler, WarmupParamScheduler

__all__ = ["LRMultiplier", "LRScheduler", "WarmupParamScheduler", "get_default_optimizer_params"]
