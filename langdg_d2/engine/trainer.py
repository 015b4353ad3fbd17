"""The model on all processes, and the order of the hooks."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase, create_ddp_model, default_writers, hooks
from detectron2.utils import comm
from torch import nn
from torch.optim import lr_scheduler

from ..utils.errors import LangDGError
from .batch_norm import synchronize_batch_norm
from .checkpoints import PeriodicCheckpointer
from .hooks import EvalHook, LRScheduler, ProgressBar
from .stopping import StopOnSignal

_CONSOLE_LOGGERS = ("detectron2", "langdg_d2")


def distribute(model: nn.Module, **ddp_options: Any) -> nn.Module:
    """Wrap a model for training on all processes, its trainable BatchNorm synchronised.

    Args:
        model: on its device.
        ddp_options: of `torch.nn.parallel.DistributedDataParallel`, and `fp16_compression`.

    Returns:
        The model itself where there is one process.
    """
    if comm.get_world_size() == 1:
        return model
    synchronize_batch_norm(model)
    if next(model.parameters()).device.type == "cpu":
        ddp_options["device_ids"] = None  # Detectron2 would name a GPU
    return create_ddp_model(model, **ddp_options)


def training_hooks(
    *,
    scheduler: lr_scheduler.LRScheduler,
    checkpointer: DetectionCheckpointer,
    checkpointer_options: dict[str, Any],
    evaluate: Callable[[], dict[str, Any]],
    eval_period: int,
    log_period: int,
    max_iter: int,
    extra: Sequence[HookBase] = (),
    selection: Sequence[HookBase] = (),
) -> list[HookBase]:
    """All hooks of a training run, in the order in which they have to act.

    Evaluation stands before the writers, which write its results, and after the checkpointer, so
    that a checkpoint exists if it fails. Signals are obeyed between the two.

    Args:
        scheduler: steps once an iteration.
        checkpointer: also knows where the outputs go.
        checkpointer_options: `period` and `max_to_keep`.
        evaluate: gives (nested) metrics; called on every process.
        eval_period: iterations between evaluations; 0 evaluates after training only.
        log_period: iterations between lines of the log.
        max_iter: last iteration, for the remaining time.
        extra: hooks that act before all but the timer.
        selection: see `selection_hooks`.

    Returns:
        Hooks for this process; those that write are left to the main process.

    Raises:
        LangDGError: if the log period is not positive.
    """
    if log_period < 1:
        raise LangDGError(f"log_period {log_period} must be at least one iteration")
    everywhere = [hooks.IterationTimer(), *extra, LRScheduler(scheduler.optimizer, scheduler)]
    stop = StopOnSignal(checkpointer=checkpointer, period=log_period)
    evaluation = [*selection, EvalHook(eval_period, evaluate)]
    if not comm.is_main_process():
        return [*everywhere, stop, *evaluation]
    loggers = [logging.getLogger(name) for name in _CONSOLE_LOGGERS]
    return [
        *everywhere,
        PeriodicCheckpointer(checkpointer, **checkpointer_options),
        stop,
        *evaluation,
        hooks.PeriodicWriter(default_writers(checkpointer.save_dir, max_iter), period=log_period),
        ProgressBar(loggers=loggers, period=log_period),
    ]
