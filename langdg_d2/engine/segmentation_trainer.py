"""An iteration of training: gradients of one or several batches, in a precision, then a step."""

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..layers import folded
from ..utils.amp import autocast, dtype_of
from ..utils.errors import LangDGError
from . import divergence
from .optimization import resumed_state


class _Iteration(NamedTuple):
    """What one leaves to be logged.

    Attributes:
        losses: of every batch, on their device.
        files: of every batch.
        data_seconds: waited for data.
    """

    losses: list[dict[str, Tensor]]
    files: list[list[str]]
    data_seconds: float


class SegmentationTrainer(SimpleTrainer):
    """Detectron2's trainer with mixed precision on every device and accumulated gradients.

    Losses stay on their device until they are logged, so that the CPU runs ahead of a GPU.

    Args:
        model: maps a batch to losses.
        loader: endless batches.
        optimizer: of the model's parameters.
        precision: of convolutions and products, see `autocast`; with "float16" losses are scaled,
            and steps whose gradients overflow are left out.
        accumulate: batches whose mean gradient makes a step. BatchNorm that trains sees the single
            batches.
        log_period: iterations after which their losses are put into the event storage together.
            Choose it so that it divides a checkpointer's period: a run whose loss or weights are
            not finite then ends before its weights are saved.

    Raises:
        LangDGError: for a precision that the device does not have; if a number is not positive.
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
    ) -> None:
        for name, number in {"accumulate": accumulate, "log_period": log_period}.items():
            if number < 1:
                raise LangDGError(f"{name} {number} must be at least 1")
        super().__init__(model, loader, optimizer)
        self._device_type = next(model.parameters()).device.type
        self._precision = precision
        self._dtype = dtype_of(precision, self._device_type)
        scaled = self._dtype is torch.float16
        self._scaler = torch.amp.GradScaler(self._device_type, enabled=scaled)
        self._accumulate = accumulate
        self._log_period = log_period
        self._unlogged: list[_Iteration] = []

    def train(self, start_iter: int, max_iter: int) -> None:
        """Train; frozen layers are folded meanwhile."""
        with folded(self.model, frozen_only=True):
            super().train(start_iter, max_iter)

    def run_step(self) -> None:
        """One step of the optimizer.

        Raises:
            FloatingPointError: if a loss since the last entry in the event storage is not finite,
                the weights are not, or scaled losses overflow at any scale; names iteration and
                images. In the main process, which knows of all others.
        """
        assert self.model.training, "the model is in eval mode; call model.train() before training"
        self.optimizer.zero_grad()
        data_seconds, losses, files = 0.0, [], []
        for part in range(1, self._accumulate + 1):
            begin = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_seconds += time.perf_counter() - begin
            files.append(divergence.file_names(batch))
            with self._exchange_gradients(part == self._accumulate):
                losses.append(self.add_gradients(batch))
        self.after_backward()
        self.update()
        self._unlogged.append(_Iteration(losses, files, data_seconds))
        if (self.iter + 1) % self._log_period == 0 or self.iter + 1 == self.max_iter:
            self.log_losses()

    def add_gradients(self, batch: Any) -> dict[str, Tensor]:
        """Forward and backward pass of a batch; returns its losses, detached."""
        with autocast(self._precision, self._device_type):
            losses: dict[str, Tensor] = self.model(batch)
        self.backward(sum(losses.values()) / self._accumulate)
        return {name: loss.detach() for name, loss in losses.items()}

    def backward(self, loss: Any) -> None:
        """Backward pass."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Step of the optimizer."""
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def log_losses(self) -> None:
        """Put what has not been logged yet into the event storage; every process must call this.

        Raises:
            FloatingPointError: as `run_step`.
        """
        iterations, self._unlogged = self._unlogged, []
        if not iterations:
            return
        losses = _stacked(iterations)
        data_seconds = np.array([it.data_seconds for it in iterations])
        self.storage.put_scalar("rank_data_time", data_seconds[-1])
        if self._scaler.is_enabled():
            self.storage.put_scalar("grad_scale", self._scaler.get_scale())
        trouble = self._trouble(iterations, losses)
        everyones = comm.gather((losses.mean(axis=1), data_seconds, trouble))
        if comm.is_main_process():
            all_losses, all_seconds, troubles = zip(*everyones, strict=True)
            names = list(iterations[0].losses[0])
            self._put(names, np.mean(all_losses, axis=0), np.max(all_seconds, axis=0))
            divergence.raise_first([each for each in troubles if each])

    def _put(
        self, names: list[str], losses: npt.NDArray[Any], data_seconds: npt.NDArray[Any]
    ) -> None:
        """Put finite losses (iterations, names) and seconds (iterations,), the last of this one."""
        first = self.iter + 1 - len(losses)
        for iteration, (row, seconds) in enumerate(zip(losses, data_seconds, strict=True), first):
            if not np.isfinite(row).all():
                return
            scalars = {"data_time": seconds, "total_loss": row.sum()}
            if len(names) > 1:
                scalars |= dict(zip(names, row.tolist(), strict=True))
            self.storage.put_scalars(cur_iter=iteration, **scalars)

    def _trouble(
        self, iterations: list[_Iteration], losses: npt.NDArray[Any]
    ) -> divergence.Trouble | None:
        """What this process knows to be lost, None if nothing is.

        Args:
            iterations: since the last entry in the event storage.
            losses: of them, (iterations, batches, names).
        """
        finite = np.isfinite(losses).all(axis=2)
        scale = self._scaler.get_scale()
        iteration, in_weights = self.iter, True
        if not finite.all():
            number, batch = np.argwhere(~finite)[0]
            files = [
                f for k in np.flatnonzero(~finite[number]) for f in iterations[number].files[k]
            ]
            named = dict(zip(iterations[0].losses[0], losses[number, batch].tolist(), strict=True))
            iteration, in_weights = self.iter + 1 - len(iterations) + int(number), False
            reason = (
                f"the loss of iteration {iteration} is not finite: {named}. Images of its batch: "
                f"{divergence.describe_images(files)}"
            )
        elif not bool(divergence.all_finite(self.model)):
            reason = f"the weights are not finite after iteration {iteration}"
        elif scale < divergence.SMALLEST_SCALE:
            reason = f"gradients of iteration {iteration} overflow though losses were scaled down"
        else:
            return None
        process = f"process {comm.get_rank()}: " if comm.get_world_size() > 1 else ""
        scaled = f", losses scaled by {scale:g}" if self._scaler.is_enabled() else ""
        state = divergence.describe_state(self.model, self.optimizer)
        told = f"{process}{reason}. After iteration {self.iter}, {self._precision}{scaled}: {state}"
        return divergence.Trouble(iteration, in_weights, told)

    def state_dict(self) -> dict[str, Any]:
        """Also names of what is trained, and the scaler's state where there is one."""
        scaler = {"grad_scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        return {**super().state_dict(), "trained": self._trained(), **scaler}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state, with the optimizer's settings as they are, see `resumed_state`.

        Raises:
            LangDGError: if the state is one of other parameters or of another optimizer.
        """
        trained = self._trained()
        if other := sorted({*trained} ^ {*state_dict.get("trained", trained)}):
            raise LangDGError(
                f"the earlier run and this one do not train the same: {other[:3]} in only one of "
                "them. Let the same layers learn (model.backbone.trainable)"
            )
        optimizer = resumed_state(self.optimizer, state_dict["optimizer"])
        super().load_state_dict({**state_dict, "optimizer": optimizer})
        # A run in another precision has left none.
        if self._scaler.is_enabled() and "grad_scaler" in state_dict:
            self._scaler.load_state_dict(state_dict["grad_scaler"])

    def _trained(self) -> list[str]:
        parameters = divergence.unwrapped(self.model).named_parameters()
        return [name for name, parameter in parameters if parameter.requires_grad]

    def _exchange_gradients(self, now: bool) -> AbstractContextManager[Any]:
        """Processes exchange them once, with the last batch of a step."""
        shared = isinstance(self.model, DistributedDataParallel)
        return self.model.no_sync() if shared and not now else nullcontext()


def _stacked(iterations: list[_Iteration]) -> npt.NDArray[np.float64]:
    """Losses (iterations, batches, names), copied from their device at once."""
    rows = [torch.stack(list(each.values())) for it in iterations for each in it.losses]
    return torch.stack(rows).double().cpu().numpy().reshape(len(iterations), -1, len(rows[0]))
