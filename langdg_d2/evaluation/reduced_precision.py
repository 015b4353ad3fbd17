"""Inference whose convolutions and products are computed in another precision."""

import torch
from torch import nn

from ..utils.amp import autocast, dtype_of
from .multi_scale import BatchedInputs, Predictions


class ReducedPrecisionInference(nn.Module):
    """A model's predictions under autocast; its weights and logits stay float32.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`.
        precision: see `autocast`.

    Attributes:
        model, precision: as given.

    Raises:
        LangDGError: if the model's device does not have the precision.
    """

    def __init__(self, *, model: nn.Module, precision: str) -> None:
        super().__init__()
        dtype_of(precision, next(model.parameters()).device.type)
        self.model = model
        self.precision = precision

    @torch.no_grad()
    def forward(self, batched_inputs: BatchedInputs) -> Predictions:
        """Predictions of the model, in its own convention."""
        device = next(self.model.parameters()).device
        with autocast(self.precision, device.type):
            predictions: Predictions = self.model(batched_inputs)
        return predictions
