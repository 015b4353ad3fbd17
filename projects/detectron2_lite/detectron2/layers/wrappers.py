"""PyTorch's layers and functions under the names Detectron2 gives them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

BatchNorm2d = nn.BatchNorm2d
ConvTranspose2d = nn.ConvTranspose2d
Linear = nn.Linear
interpolate = F.interpolate


class Conv2d(nn.Conv2d):
    """A convolution followed by a normalization layer and an activation, either may be None."""

    def __init__(
        self,
        *args: Any,
        norm: nn.Module | None = None,
        activation: Callable[[torch.Tensor], torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """Other arguments are those of ``torch.nn.Conv2d``."""
        super().__init__(*args, **kwargs)
        self.norm = norm
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) → (N, out, H', W')."""
        # zero padding only, whatever padding_mode says: the real layer ignores it
        x = F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


def cat(tensors: Sequence[torch.Tensor], dim: int = 0) -> torch.Tensor:
    """``torch.cat``, but a single tensor is returned itself, not copied."""
    assert isinstance(tensors, list | tuple), f"cat takes a list or tuple, not {type(tensors)}"
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)


def nonzero_tuple(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Indices of the nonzero entries, one tensor per dimension."""
    return x.nonzero(as_tuple=True)
