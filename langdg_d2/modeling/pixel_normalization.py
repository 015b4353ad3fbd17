"""Normalisation of pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..utils.errors import LangDGError


class PixelNormalization(nn.Module):
    """Computes `(pixel - mean) / std` per channel; adds nothing to state dicts.

    Args:
        mean: mean of R, G and B, in 0..255.
        std: standard deviation of R, G and B, in 0..255.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if max(*mean, *std) <= 1:
            raise LangDGError(
                f"mean {list(mean)} and std {list(std)} are for pixels in 0..1, expected 0..255: "
                "multiply both by 255"
            )
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (..., 3, H, W) of any dtype; returns floats on this module's device."""
        return (images.to(self.mean.device, non_blocking=True) - self.mean) / self.std
