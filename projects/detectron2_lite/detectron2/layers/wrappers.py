"""A convolution with what usually follows it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Conv2d(nn.Conv2d):
    """PyTorch's, followed by a normalization layer and an activation, if there are any."""

    def __init__(
        self,
        *args: Any,
        norm: nn.Module | None = None,
        activation: Callable[[torch.Tensor], torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.norm, self.activation = norm, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)
