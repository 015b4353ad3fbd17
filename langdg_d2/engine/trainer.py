"""The trainer: mixed precision, accumulated gradients, several processes, order of hooks."""

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

# The loss scale starts at 65536 and is halved with every skipped step. Below this, gradients
# overflow even with the loss scaled down by 2^10.
_SMALLEST_SCALE = 2.0**-10
_REMEDY = (
    "no weights were saved since. Resume from the last checkpoint (--resume), with a smaller "
    "optimizer.lr or train.precision=float32"
)


class _Iteration(NamedTuple):
    """An iteration that has not been logged.

    Attributes:
        losses: by name for each batch, on their device.
        files: images of each batch.
        data_seconds: spent waiting for data.
    """

    losses: list[dict[str, Tensor]]
    files: list[list[str]]
    data_seconds: float


class SegmentationTrainer(SimpleTrainer):
    """Detectron2's trainer with mixed precision on every device and accumulated gradients.

    Losses stay on their device until they are logged, so that the CPU can run ahead of a GPU.

    Args:
        model: maps a batch to losses.
        loader: endless batches.
        optimizer: of the model's parameters.
        precision: of convolutions and matrix products, see `autocast`. With "float16", losses are
            scaled, and steps whose gradients overflow are skipped.
        accumulate: batches per step, whose gradients are averaged; BatchNorm
            normalises each on its own.
        log_period: iterations between transfers of losses to the event storage.
        checkpoint_period: iterations between checkpoints. Losses are transferred before each as
            well, so that a run that is not finite ends before it is saved.
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
        """One step of the optimizer; its loss is checked when it is logged."""
        assert self.model.training, "the model is in eval mode; call model.train() before training"
        self.optimizer.zero_grad()
        data_seconds, losses, files = 0.0, [], []
        for part in range(1, self._accumulate + 1):
            begin = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_seconds += time.perf_counter() - begin
            files.append(_file_names(batch))
            # Processes exchange gradients once, with the last batch.
            keep = isinstance(self.model, DistributedDataParallel) and part < self._accumulate
            with self.model.no_sync() if keep else nullcontext():
                with autocast(self._precision, self._device_type):
                    found: dict[str, Tensor] = self.model(batch)
                self.backward(sum(found.values()) / self._accumulate)
            losses.append({name: loss.detach() for name, loss in found.items()})
        self._scaler.unscale_(self.optimizer)  # hooks see gradients as they are
        self.after_backward()
        self.update()
        self._unlogged.append(_Iteration(losses, files, data_seconds))
        done = self.iter + 1
        if done == self.max_iter or any(done % period == 0 for period in self._log_periods):
            self.log_losses()

    def backward(self, loss: Any) -> None:
        """Backward pass."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Step of the optimizer."""
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def log_losses(self) -> None:
        """Transfer losses to the event storage, and check that they are finite. Collective.

        Raises:
            LangDGError: in the main process, if losses or weights of any process are not finite, or
                gradients overflow at every loss scale; names iteration and images.
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
        """Store losses (iterations, names) and seconds (iterations,) up to the current one."""
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
        """When and where this process first got non-finite numbers; None if it did not.

        Args:
            iterations: those of the losses.
            losses: (iterations, batches, names).

        Returns:
            A sort key, (iteration, whether the weights are at fault), and the error message.
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
            text = f"gradients of iteration {iteration} overflow though losses were scaled down"
        else:
            return None
        process = f"process {comm.get_rank()}: " if comm.get_world_size() > 1 else ""
        scaled = f", losses scaled by {scale:g}" if self._scaler.is_enabled() else ""
        return (iteration, in_weights), f"{process}{text} ({self._precision}{scaled})"

    def state_dict(self) -> dict[str, Any]:
        """Detectron2's, and the loss scaler's state."""
        scaler = {"grad_scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        return {**super().state_dict(), **scaler}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from a state, except for the settings of the optimizer."""
        optimizer = resumed_state(self.optimizer, state_dict["optimizer"])
        super().load_state_dict({**state_dict, "optimizer": optimizer})
        # A run in another precision has saved none.
        if self._scaler.is_enabled() and "grad_scaler" in state_dict:
            self._scaler.load_state_dict(state_dict["grad_scaler"])


def distribute(
    model: nn.Module, *, total_batch_size: int | None = None, **ddp_options: Any
) -> nn.Module:
    """Wrap a model in DDP and synchronise its trainable BatchNorm; a single process needs neither.

    Args:
        model: on its device.
        total_batch_size: images per batch of all processes together; None if unknown.
        ddp_options: of `DistributedDataParallel`, and `fp16_compression`.
    """
    head = getattr(model, "sem_seg_head", nn.Identity())
    if total_batch_size == 1 and any(isinstance(part, _BatchNorm) for part in head.modules()):
        raise LangDGError(
            "dataloader.train.total_batch_size is 1, expected 2 or more: the head normalises over "
            "the images of a batch"
        )
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
    writers: Sequence[EventWriter] = (),
) -> list[HookBase]:
    """All hooks of a training run, in the order in which they must act.

    Evaluation comes after the checkpointer, so that a checkpoint exists if it fails, and before the
    writers, which write its results. Signals are handled between checkpointer and evaluation.

    Args:
        scheduler: steps once per iteration.
        checkpointer: of the run; its folder also gets metrics and events.
        checkpointer_options: `period` and `max_to_keep`.
        evaluate: returns (nested) metrics. Collective.
        eval_period: iterations between evaluations; 0 evaluates after training only.
        log_period: iterations between lines of the log.
        max_iter: length of the run.
        extra: hooks that act right after the timer.
        selection: hooks that act right before the evaluation, such as `BestWeightsHook`.
        writers: of events, beside Detectron2's (terminal, `metrics.json`, TensorBoard).

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
    """Replace, in place, every trainable BatchNorm2d by one that shares statistics.

    Frozen BatchNorm uses its running statistics. State dicts, parameters and buffers stay the same.
    On the CPU, where torch has no synchronised version, Detectron2's is used; it assumes that all
    processes have the same number of values, which holds for crops of one size.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d and child.weight.requires_grad:
                if child.weight.device.type == "cpu":
                    shared = _SharedBatchNorm(
                        child.num_features, eps=child.eps, momentum=child.momentum
                    )
                    # Not copies, because an optimizer may hold these tensors already.
                    for key, tensor in (*child.named_parameters(), *child.named_buffers()):
                        setattr(shared, key, tensor)
                else:
                    shared = nn.SyncBatchNorm.convert_sync_batchnorm(child)
                setattr(module, name, shared)


class _SharedBatchNorm(NaiveSyncBatchNorm):
    """Detectron2's in single precision: sums of bfloat16 squares would lose the variance."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(at_least_single(input)).to(input.dtype)


def _file_names(batch: Any) -> list[str]:
    """Images of a batch of dataset dicts; none for batches of other kinds."""
    records = batch if isinstance(batch, Sequence) else ()
    return [r["file_name"] for r in records if isinstance(r, Mapping) and "file_name" in r]


def _all_finite(model: nn.Module) -> bool:
    """Whether trainable parameters and BatchNorm's statistics are finite."""
    parameters = [p.detach() for p in model.parameters() if p.requires_grad]
    statistics = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    sums = torch.stack([tensor.sum() for tensor in (*parameters, *statistics)])
    return bool(sums.isfinite().all())
