"""The trainer: mixed precision, gradient accumulation, several processes, order of hooks."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase, SimpleTrainer, create_ddp_model, default_writers, hooks
from detectron2.layers import NaiveSyncBatchNorm
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer, lr_scheduler

from ..utils.amp import at_least_single, autocast, dtype_of
from ..utils.distributed import without_ddp
from ..utils.errors import LangDGError, require_int
from .checkpoint import PeriodicCheckpointer
from .hooks import EvalHook, LRScheduler, StopOnSignal
from .optimization import resumed_state

# The loss scale starts at 65536 and is halved with every skipped step. Below this value, gradients
# overflow even with the loss scaled down by 2^10.
_SMALLEST_SCALE = 2.0**-10
_REMEDY = (
    "no weights were saved since. Resume from the last checkpoint (--resume) with a smaller "
    "optimizer.lr or with train.precision=float32"
)


class _Iteration(NamedTuple):
    """An iteration that has not been logged yet.

    Attributes:
        losses: losses of each batch by name, on their device.
        files: images of each batch.
        data_seconds: time spent waiting for data.
    """

    losses: list[dict[str, Tensor]]
    files: list[list[str]]
    data_seconds: float


class SegmentationTrainer(SimpleTrainer):
    """Detectron2's trainer with mixed precision on all devices and gradient accumulation.

    Losses stay on their device until they are logged, so that the CPU can run ahead of a GPU.

    Args:
        model: maps a batch to a dict of losses.
        loader: infinite iterable of batches.
        optimizer: optimizer of the model's parameters.
        precision: precision of convolutions and matrix products, see `autocast`. With "float16",
            losses are scaled, and steps with overflowing gradients are skipped.
        accumulate: number of batches per step, whose gradients are averaged; BatchNorm normalises
            each batch separately.
        log_period: number of iterations between transfers of losses to the event storage.
        checkpoint_period: number of iterations between checkpoints. Losses are also transferred
            before each checkpoint, so that non-finite weights are not saved.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loader: Iterable[Any],
        optimizer: Optimizer,
        precision: str = "float32",
        accumulate: int = 1,
        log_period: int = 1,
        checkpoint_period: int | None = None,
    ) -> None:
        require_int("train.accumulate", accumulate)
        require_int("train.log_period", log_period)
        super().__init__(model, loader, optimizer)
        self._device_type = next(model.parameters()).device.type
        self._precision = precision
        scaled = dtype_of(precision, self._device_type) is torch.float16
        self._scaler = torch.amp.GradScaler(self._device_type, enabled=scaled)
        self._accumulate = accumulate
        self._log_periods = (log_period, checkpoint_period or log_period)
        self._unlogged: list[_Iteration] = []

    def run_step(self) -> None:
        """Perform one optimizer step; its loss is checked when it is logged."""
        assert self.model.training, "the model is in eval mode; call model.train() before training"
        self.optimizer.zero_grad()
        data_seconds, losses, files = 0.0, [], []
        for part in range(1, self._accumulate + 1):
            begin = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_seconds += time.perf_counter() - begin
            files.append(_file_names(batch))
            # Processes exchange gradients only once, with the last batch.
            keep = isinstance(self.model, DistributedDataParallel) and part < self._accumulate
            with self.model.no_sync() if keep else nullcontext():
                with autocast(self._precision, self._device_type):
                    found: dict[str, Tensor] = self.model(batch)
                self.backward(sum(found.values()) / self._accumulate)
            losses.append({name: loss.detach() for name, loss in found.items()})
        self._scaler.unscale_(self.optimizer)  # for the hooks
        self.after_backward()
        self.update()
        self._unlogged.append(_Iteration(losses, files, data_seconds))
        done = self.iter + 1
        if done == self.max_iter or any(done % period == 0 for period in self._log_periods):
            self.log_losses()

    def backward(self, loss: Any) -> None:
        """Run the backward pass."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Step the optimizer and the loss scaler."""
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def log_losses(self) -> None:
        """Transfer losses to the event storage, and check that they are finite. Collective.

        Raises:
            LangDGError: in the main process, if losses or weights of any process are not finite, or
                if gradients overflow at every loss scale. The message names iteration and images.
        """
        iterations, self._unlogged = self._unlogged, []
        if not iterations:
            return
        rows = [torch.stack(list(part.values())) for it in iterations for part in it.losses]
        # (iterations, batches, names), in a single copy from the device.
        losses = torch.stack(rows).double().cpu().numpy()
        losses = losses.reshape(len(iterations), -1, len(rows[0]))
        data_seconds = np.array([it.data_seconds for it in iterations])
        self.storage.put_scalar("rank_data_time", data_seconds[-1])
        if self._scaler.is_enabled():
            self.storage.put_scalar("grad_scale", self._scaler.get_scale())
        report = self._non_finite(iterations, losses)
        gathered = comm.gather((losses.mean(axis=1), data_seconds, report))
        if comm.is_main_process():
            all_losses, all_seconds, all_reports = zip(*gathered, strict=True)
            names = list(iterations[0].losses[0])
            self._put(names, np.mean(all_losses, axis=0), np.max(all_seconds, axis=0))
            if reports := [report for report in all_reports if report]:
                first = min(when for when, _ in reports)
                texts = [text for when, text in reports if when == first]
                raise LangDGError("; ".join([*texts, _REMEDY]))

    def _put(
        self, names: list[str], losses: npt.NDArray[Any], data_seconds: npt.NDArray[Any]
    ) -> None:
        """Store losses (iterations, names) and seconds (iterations,), ending with this one."""
        first = self.iter + 1 - len(losses)
        for iteration, (row, seconds) in enumerate(zip(losses, data_seconds, strict=True), first):
            if not np.isfinite(row).all():
                return
            scalars = {"data_time": seconds, "total_loss": row.sum()}
            if len(names) > 1:
                scalars |= dict(zip(names, row.tolist(), strict=True))
            self.storage.put_scalars(cur_iter=iteration, **scalars)

    def _non_finite(
        self, iterations: list[_Iteration], losses: npt.NDArray[Any]
    ) -> tuple[tuple[int, bool], str] | None:
        """Find the first non-finite values of this process.

        Args:
            iterations: iterations of the losses.
            losses: (iterations, batches, names).

        Returns:
            A sort key, (iteration, whether weights are non-finite), and the error message; None if
            all values are finite.
        """
        finite = np.isfinite(losses).all(axis=2)
        scale = self._scaler.get_scale()
        iteration, in_weights = self.iter, True
        if not finite.all():
            number, batch = np.argwhere(~finite)[0]
            iteration, in_weights = self.iter + 1 - len(iterations) + int(number), False
            named = dict(zip(iterations[0].losses[0], losses[number, batch].tolist(), strict=True))
            batches = np.flatnonzero(~finite[number])
            files = [file for k in batches for file in iterations[number].files[k]]
            text = (
                f"the loss of iteration {iteration} is not finite: {named}. Images of its batch: "
                f"{', '.join(map(repr, files)) or 'unknown'}"
            )
        elif not _all_finite(without_ddp(self.model)):
            text = f"the weights are not finite after iteration {iteration}"
        elif scale < _SMALLEST_SCALE:
            text = f"gradients of iteration {iteration} overflow even with scaled-down losses"
        else:
            return None
        process = f"process {comm.get_rank()}: " if comm.get_world_size() > 1 else ""
        scaled = f", losses scaled by {scale:g}" if self._scaler.is_enabled() else ""
        return (iteration, in_weights), f"{process}{text} ({self._precision}{scaled})"

    def state_dict(self) -> dict[str, Any]:
        """Return the state of Detectron2's trainer and of the loss scaler."""
        scaler = {"grad_scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        return {**super().state_dict(), **scaler}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from a state, but keep the current settings of the optimizer."""
        optimizer = resumed_state(self.optimizer, state_dict["optimizer"])
        super().load_state_dict({**state_dict, "optimizer": optimizer})
        # Runs in other precisions do not save it.
        if self._scaler.is_enabled() and "grad_scaler" in state_dict:
            self._scaler.load_state_dict(state_dict["grad_scaler"])


def _pools_before_norm(head: object) -> bool:
    """Whether a head has BatchNorm and global pooling, as DeepLab's image pooling has."""
    parts = [*head.modules()] if isinstance(head, nn.Module) else []
    kinds = (_BatchNorm, nn.AdaptiveAvgPool2d)
    return all(any(isinstance(part, kind) for part in parts) for kind in kinds)


def distribute(
    model: nn.Module, *, total_batch_size: int | None = None, **ddp_options: Any
) -> nn.Module:
    """Wrap a model in DDP and synchronise its trainable BatchNorm, except in a single process.

    Args:
        model: model on its device.
        total_batch_size: number of images per batch over all processes; None if unknown.
        ddp_options: arguments of `DistributedDataParallel`, and `fp16_compression`.

    Raises:
        LangDGError: if the head has BatchNorm behind global pooling and `total_batch_size` is 1.
    """
    if total_batch_size == 1 and _pools_before_norm(getattr(model, "sem_seg_head", None)):
        raise LangDGError(
            "dataloader.train.total_batch_size is 1, expected at least 2, because BatchNorm of the "
            "head's global pooling has a single value per image and channel"
        )
    if comm.get_world_size() == 1:
        return model
    synchronize_batch_norm(model)
    if next(model.parameters()).device.type == "cpu":
        ddp_options["device_ids"] = None  # Detectron2 would set a GPU
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
    writers: Sequence[EventWriter] = (),
) -> list[HookBase]:
    """Return all hooks of a training run in the required order.

    Evaluation comes after the checkpointer, so that a checkpoint exists if it fails, and before the
    writers, which write its results. Signals are handled between checkpointer and evaluation.

    Args:
        scheduler: learning rate schedule, stepped once per iteration.
        checkpointer: checkpointer of the run; metrics and events are also written to its folder.
        checkpointer_options: `period` and `max_to_keep`.
        evaluate: returns (nested) metrics. Collective.
        eval_period: number of iterations between evaluations; 0 evaluates only after training.
        log_period: number of iterations between log lines.
        max_iter: length of the run.
        extra: hooks that run directly after the timer.
        selection: hooks that run directly before the evaluation, such as `BestWeightsHook`.
        writers: event writers besides Detectron2's (terminal, `metrics.json`, TensorBoard).

    Returns:
        Hooks for this process; only the main process writes.
    """
    require_int("train.eval_period", eval_period, 0)
    require_int("train.checkpointer.period", checkpointer_options["period"])
    if (kept := checkpointer_options.get("max_to_keep")) is not None:
        require_int("train.checkpointer.max_to_keep", kept)
    everywhere = [hooks.IterationTimer(), *extra, LRScheduler(scheduler.optimizer, scheduler)]
    stop = StopOnSignal(checkpointer=checkpointer, period=log_period)
    evaluation = [*selection, EvalHook(eval_period, evaluate)]
    if not comm.is_main_process():
        return [*everywhere, stop, *evaluation]
    all_writers = [*default_writers(checkpointer.save_dir, max_iter), *writers]
    return [
        *everywhere,
        PeriodicCheckpointer(checkpointer, **checkpointer_options),
        stop,
        *evaluation,
        hooks.PeriodicWriter(all_writers, log_period),
    ]


def synchronize_batch_norm(model: nn.Module) -> None:
    """Replace every trainable BatchNorm2d in place by one that synchronises statistics.

    Frozen BatchNorm uses its running statistics. State dicts, parameters and buffers stay the same.
    On the CPU, where torch has no synchronised version, Detectron2's is used. It assumes that all
    processes have the same number of values, which holds for crops of the same size.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d and child.weight.requires_grad:
                if child.weight.device.type == "cpu":
                    shared = _SharedBatchNorm(
                        child.num_features, eps=child.eps, momentum=child.momentum
                    )
                    # The same tensors, because an optimizer may already hold them.
                    for key, tensor in (*child.named_parameters(), *child.named_buffers()):
                        setattr(shared, key, tensor)
                else:
                    shared = nn.SyncBatchNorm.convert_sync_batchnorm(child)
                setattr(module, name, shared)


class _SharedBatchNorm(NaiveSyncBatchNorm):
    """Detectron2's layer in float32, because sums of bfloat16 squares would lose the variance."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(at_least_single(input)).to(input.dtype)


def _file_names(batch: Any) -> list[str]:
    """Return the image files of a batch of dataset dicts; empty for other batches."""
    records = batch if isinstance(batch, Sequence) else ()
    return [r["file_name"] for r in records if isinstance(r, Mapping) and "file_name" in r]


def _all_finite(model: nn.Module) -> bool:
    """Return whether trainable parameters and BatchNorm statistics are finite."""
    parameters = [p.detach() for p in model.parameters() if p.requires_grad]
    statistics = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    sums = torch.stack([tensor.sum() for tensor in (*parameters, *statistics)])
    return bool(sums.isfinite().all())
