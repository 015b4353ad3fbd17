"""Trainers: what an iteration is."""

import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DataParallel

from ._trainer_base import HookBase, TrainerBase

__all__ = ["AMPTrainer", "HookBase", "SimpleTrainer", "TrainerBase"]


class SimpleTrainer(TrainerBase):
    """A source of batches, an optimizer, and a model from a batch to a loss or a dict of them."""

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Any],
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        """Puts the model in training mode."""
        if async_write_metrics:
            raise NotImplementedError("only the real Detectron2 has async_write_metrics")
        super().__init__()
        self.model = model.train()
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward

    @cached_property
    def _data_loader_iter(self) -> Iterator[Any]:
        return iter(self.data_loader)  # late, since it starts the workers

    def run_step(self) -> None:
        """Forward, backward, report, update; FloatingPointError if the loss is not finite."""
        assert self.model.training, f"{type(self).__name__} found its model in eval mode"
        begin = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - begin
        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        losses = self._forward(data)
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        self._backward(sum(losses.values()))
        self.after_backward()
        self._write_metrics(losses, data_time)
        self._update()

    def _forward(self, data: Any) -> dict[str, torch.Tensor]:
        output = self.model(data)
        return {"total_loss": output} if isinstance(output, torch.Tensor) else output

    def _backward(self, loss: Any) -> None:
        loss.backward()

    def _update(self) -> None:
        self.optimizer.step()

    def _write_metrics(self, loss_dict: Mapping[str, torch.Tensor], data_time: float) -> None:
        """Store the processes' mean losses, their sum, and the longest wait for data."""
        if (self.iter + 1) % self.gather_metric_period:
            return
        self.storage.put_scalar("rank_data_time", data_time)
        own = {name: loss.detach().cpu().item() for name, loss in loss_dict.items()}
        everyones = comm.gather((data_time, own))
        if not comm.is_main_process():
            return
        self.storage.put_scalar("data_time", max(seconds for seconds, _ in everyones))
        means = {name: np.mean([losses[name] for _, losses in everyones]) for name in own}
        total = sum(means.values())
        if not np.isfinite(total):
            raise FloatingPointError(f"the loss of iteration={self.iter} is not finite: {means}")
        self.storage.put_scalars(**{"total_loss": total, **means})

    def state_dict(self) -> dict[str, Any]:
        """Also the optimizer's state."""
        return {**super().state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])


class AMPTrainer(SimpleTrainer):
    """As SimpleTrainer in automatic mixed precision, which needs CUDA."""

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Any],
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        grad_scaler: Any = None,
        precision: torch.dtype = torch.float16,
        log_grad_scaler: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        assert not isinstance(model, DataParallel), "AMPTrainer: no multi-device single process"
        super().__init__(
            model,
            data_loader,
            optimizer,
            gather_metric_period,
            zero_grad_before_forward,
            async_write_metrics,
        )
        self.grad_scaler = torch.amp.GradScaler("cuda") if grad_scaler is None else grad_scaler
        self.precision = precision
        self.log_grad_scaler = log_grad_scaler

    def run_step(self) -> None:
        assert torch.cuda.is_available(), "CUDA is required by AMPTrainer; use SimpleTrainer"
        super().run_step()

    def _forward(self, data: Any) -> dict[str, torch.Tensor]:
        with torch.autocast("cuda", dtype=self.precision):
            return super()._forward(data)

    def _backward(self, loss: Any) -> None:
        self.grad_scaler.scale(loss).backward()
        if self.log_grad_scaler:
            self.storage.put_scalar("[metric]grad_scaler", self.grad_scaler.get_scale())

    def _update(self) -> None:
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Also the scaler's state."""
        return {**super().state_dict(), "grad_scaler": self.grad_scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.grad_scaler.load_state_dict(state_dict["grad_scaler"])
