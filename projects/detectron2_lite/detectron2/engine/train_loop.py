"""Trainers: what an iteration is."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ._trainer_base import HookBase, TrainerBase

__all__ = ["AMPTrainer", "HookBase", "SimpleTrainer", "TrainerBase"]

logger = logging.getLogger(__name__)


class SimpleTrainer(TrainerBase):
    """One model, one optimizer, one source of data; everything else is left to hooks.

    The model takes a batch and returns a loss, or a dict of losses to add up.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Any],
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        """Sets the model to training mode.

        Args:
            gather_metric_period: how many iterations pass from one collection of the processes'
                losses to the next.
            zero_grad_before_forward: clear gradients before the forward pass instead of after.
            async_write_metrics: collect the losses in a thread of its own.
        """
        super().__init__()
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward
        self.async_write_metrics = async_write_metrics
        # a single worker, so that iterations are written in order
        self.concurrent_executor = ThreadPoolExecutor(max_workers=1)

    @cached_property
    def _data_loader_iter(self) -> Iterator[Any]:
        return iter(self.data_loader)  # starts workers, so not before they are needed

    def reset_data_loader(self, data_loader_builder: Callable[[], Iterable[Any]]) -> None:
        """Replace the data loader by what ``data_loader_builder()`` returns."""
        del self.data_loader  # free it before the next is made
        self.data_loader = data_loader_builder()
        self.__dict__.pop("_data_loader_iter", None)

    def run_step(self) -> None:
        """Forward, backward, report the losses, update.

        Raises:
            FloatingPointError: if the sum of losses is not finite; no update is made then.
        """
        assert self.model.training, f"{type(self).__name__} found its model in eval mode"
        before = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - before
        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        losses = self._forward(data)
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        self._backward(sum(losses.values()))
        self.after_backward()
        if self.async_write_metrics:
            self.concurrent_executor.submit(self._write_metrics, losses, data_time, iter=self.iter)
        else:
            self._write_metrics(losses, data_time)
        self._update()

    def _forward(self, data: Any) -> dict[str, torch.Tensor]:
        output = self.model(data)
        return {"total_loss": output} if isinstance(output, torch.Tensor) else output

    def _backward(self, loss: Any) -> None:
        loss.backward()

    def _update(self) -> None:
        self.optimizer.step()

    def _write_metrics(
        self,
        loss_dict: Mapping[str, torch.Tensor],
        data_time: float,
        prefix: str = "",
        iter: int | None = None,
    ) -> None:
        iteration = self.iter if iter is None else iter
        if (iteration + 1) % self.gather_metric_period:
            return
        try:
            self.write_metrics(loss_dict, data_time, iteration, prefix)
        except Exception:
            logger.exception(f"The losses of iteration {iteration} could not be written:")
            raise

    @staticmethod
    def write_metrics(
        loss_dict: Mapping[str, torch.Tensor], data_time: float, cur_iter: int, prefix: str = ""
    ) -> None:
        """Put the processes' mean losses, their sum and the longest wait for data in the storage.

        Args:
            loss_dict: scalars.
            data_time: seconds.
            prefix: of the name "total_loss".

        Raises:
            FloatingPointError: in the main process, if the sum is not finite.
        """
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", data_time, cur_iter=cur_iter)
        own = {name: loss.detach().cpu().item() for name, loss in loss_dict.items()}
        everyones = comm.gather((data_time, own))
        if not comm.is_main_process():
            return
        # the slowest process is the one the others wait for
        slowest = max(seconds for seconds, _ in everyones)
        storage.put_scalar("data_time", slowest, cur_iter=cur_iter)
        means = {name: np.mean([losses[name] for _, losses in everyones]) for name in own}
        total = sum(means.values())
        if not np.isfinite(total):
            raise FloatingPointError(
                f"Loss became infinite or NaN at iteration={cur_iter}!\nloss_dict = {means}"
            )
        storage.put_scalar(f"{prefix}total_loss", total, cur_iter=cur_iter)
        if len(means) > 1:
            storage.put_scalars(cur_iter=cur_iter, **means)

    def state_dict(self) -> dict[str, Any]:
        """Also the optimizer's state."""
        return {**super().state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])

    def after_train(self) -> None:
        super().after_train()
        self.concurrent_executor.shutdown(wait=True)


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
        """
        Args:
            grad_scaler: by default PyTorch's for CUDA.
            precision: of the forward pass where autocast lowers it.
            log_grad_scaler: report the scale as "[metric]grad_scaler".
        """
        own_devices = model.device_ids if isinstance(model, DistributedDataParallel) else None
        if isinstance(model, DataParallel) or len(own_devices or []) > 1:
            raise AssertionError(
                "AMPTrainer does not support single-process multi-device training!"
            )
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
        """As in SimpleTrainer, with the loss scaled for the backward pass."""
        assert torch.cuda.is_available(), "CUDA is required by AMPTrainer; use SimpleTrainer"
        super().run_step()

    def _forward(self, data: Any) -> dict[str, torch.Tensor]:
        with torch.autocast("cuda", dtype=self.precision):
            return super()._forward(data)

    def _backward(self, loss: Any) -> None:
        self.grad_scaler.scale(loss).backward()
        if self.log_grad_scaler:
            scale = self.grad_scaler.get_scale()
            get_event_storage().put_scalar("[metric]grad_scaler", scale)

    def _update(self) -> None:
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Also the scaler's state."""
        return {**super().state_dict(), "grad_scaler": self.grad_scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.grad_scaler.load_state_dict(state_dict["grad_scaler"])
