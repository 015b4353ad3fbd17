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

from ..structures import autocast, dtype_of


class _Iteration(NamedTuple):
    """What one leaves to be logged: mean losses, on their device, and seconds waited for data."""

    losses: dict[str, Tensor]
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
            Choose it so that it divides a checkpointer's period: a run whose loss is not finite
            then ends before its weights are saved.

    Raises:
        ValueError: for a precision that the device does not have; if a number is not positive.
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
                raise ValueError(f"{name} {number} must be at least 1")
        super().__init__(model, loader, optimizer)
        self._device_type = next(model.parameters()).device.type
        self._precision = precision
        scaled = dtype_of(precision, self._device_type) is torch.float16
        self._scaler = torch.amp.GradScaler(self._device_type, enabled=scaled)
        self._accumulate = accumulate
        self._log_period = log_period
        self._unlogged: list[_Iteration] = []

    def run_step(self) -> None:
        """One step of the optimizer.

        Raises:
            FloatingPointError: if a loss since the last entry in the event storage is not finite;
                names its iteration.
        """
        assert self.model.training, "the model is in eval mode; call model.train() before training"
        self.optimizer.zero_grad()
        data_seconds, losses = 0.0, []
        for part in range(1, self._accumulate + 1):
            begin = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_seconds += time.perf_counter() - begin
            with self._exchange_gradients(part == self._accumulate):
                losses.append(self.add_gradients(batch))
        self.after_backward()
        self.update()
        self._unlogged.append(_Iteration(_mean(losses), data_seconds))
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
        losses = torch.stack([torch.stack(list(it.losses.values())) for it in iterations])
        data_seconds = np.array([it.data_seconds for it in iterations])
        self.storage.put_scalar("rank_data_time", data_seconds[-1])
        everyones = comm.gather((losses.double().cpu().numpy(), data_seconds))
        if comm.is_main_process():
            all_losses, all_seconds = (np.stack(values) for values in zip(*everyones, strict=True))
            self._put(list(iterations[0].losses), all_losses.mean(axis=0), all_seconds.max(axis=0))

    def _put(
        self, names: list[str], losses: npt.NDArray[Any], data_seconds: npt.NDArray[Any]
    ) -> None:
        """Put losses (iterations, names) and seconds (iterations,), the last of this iteration."""
        first = self.iter + 1 - len(losses)
        for iteration, (row, seconds) in enumerate(zip(losses, data_seconds, strict=True), first):
            named = dict(zip(names, row.tolist(), strict=True))
            if not np.isfinite(row).all():
                raise FloatingPointError(
                    f"the loss of iteration {iteration} is not finite: {named}"
                )
            scalars = {"data_time": seconds, "total_loss": row.sum()}
            if len(named) > 1:
                scalars |= named
            self.storage.put_scalars(cur_iter=iteration, **scalars)

    def state_dict(self) -> dict[str, Any]:
        """Also the scaler's, where there is one."""
        scaler = {"grad_scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        return {**super().state_dict(), **scaler}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # A run in another precision has left none.
        if self._scaler.is_enabled() and "grad_scaler" in state_dict:
            self._scaler.load_state_dict(state_dict["grad_scaler"])

    def _exchange_gradients(self, now: bool) -> AbstractContextManager[Any]:
        """Processes exchange them once, with the last batch of a step."""
        shared = isinstance(self.model, DistributedDataParallel)
        return self.model.no_sync() if shared and not now else nullcontext()


def _mean(losses: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
