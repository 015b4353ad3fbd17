"""Dilated convolution on the CPU, tap by tap, without the products with padding.

With a dilation of 18 on a map of 48x48, 44 % of a padded convolution's multiplications are by zero.
Here every tap is one product of matrices over the pixels that it reaches. It is the backward pass
that gains: torch's own takes more than twice as long.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from ..fast_paths import fast_paths


class _Tap(NamedTuple):
    """Position in the kernel, rectangle of the output, and of the input that it is made of."""

    row: int
    col: int
    to: tuple[slice, slice]
    of: tuple[slice, slice]


class DilatedConv2d(nn.Conv2d):
    """`nn.Conv2d` that trains faster on CPUs, if it pads to keep the size and does nothing else."""

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        trains_on_cpu = torch.is_grad_enabled() and input.device.type == "cpu"
        if fast_paths() and trains_on_cpu and self._keeps_the_size:
            return dilated_conv(input, self.weight, self.dilation[0])
        return super().forward(input)

    @property
    def _keeps_the_size(self) -> bool:
        dilation = self.dilation[0]
        margins = tuple(dilation * (side // 2) for side in self.kernel_size)
        usual = (self.stride, self.groups, self.bias, self.padding_mode) == (
            (1, 1),
            1,
            None,
            "zeros",
        )
        odd = all(side % 2 for side in self.kernel_size)
        return usual and odd and (self.padding, self.dilation[1]) == (margins, dilation)


def dilated_conv(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """`conv2d(x, weight, padding="same", dilation=dilation)` but for rounding.

    Args:
        x: (N, C, H, W), best in channels-last layout.
        weight: (D, C, kh, kw), kh and kw odd.

    Returns:
        (N, D, H, W) in channels-last layout; under autocast in its type.
    """
    if torch.is_autocast_enabled(x.device.type) and x.dtype is not torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    return _DilatedConv.apply(x, weight, dilation)


class _DilatedConv(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        pixels, kernel = x.permute(0, 2, 3, 1), weight.permute(2, 3, 1, 0)
        y = x.new_zeros((*pixels.shape[:3], len(weight)), dtype=_sums(x))
        for tap in _taps(pixels, weight, dilation):
            _at(y, tap.to).add_(_at(pixels, tap.of) @ kernel[tap.row, tap.col])
        return y.to(x.dtype).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        pixels, grad = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)
        taps = list(_taps(pixels, weight, ctx.dilation))
        wanted = ctx.needs_input_grad
        return (
            _input_gradient(grad, weight, pixels, taps) if wanted[0] else None,
            _weight_gradient(grad, weight, pixels, taps) if wanted[1] else None,
            None,
        )


def _input_gradient(grad: Tensor, weight: Tensor, pixels: Tensor, taps: list[_Tap]) -> Tensor:
    kernel = weight.permute(2, 3, 0, 1)
    found = torch.zeros_like(pixels, dtype=_sums(pixels))
    for tap in taps:
        _at(found, tap.of).add_(_at(grad, tap.to) @ kernel[tap.row, tap.col])
    return found.to(pixels.dtype).permute(0, 3, 1, 2)


def _weight_gradient(grad: Tensor, weight: Tensor, pixels: Tensor, taps: list[_Tap]) -> Tensor:
    found = torch.zeros_like(weight)
    for tap in taps:
        outputs, inputs = _at(grad, tap.to).flatten(0, 2), _at(pixels, tap.of).flatten(0, 2)
        found[:, :, tap.row, tap.col] = outputs.mT @ inputs
    return found


def _sums(values: Tensor) -> torch.dtype:
    """Type to add up in: single precision at least, as convolutions do."""
    return torch.promote_types(values.dtype, torch.float32)


def _at(values: Tensor, where: tuple[slice, slice]) -> Tensor:
    """A rectangle of (N, H, W, C) as a view."""
    return values[(slice(None), *where)]


def _taps(pixels: Tensor, weight: Tensor, dilation: int) -> Iterator[_Tap]:
    """The taps that reach any pixel of (N, H, W, C)."""
    height, width = pixels.shape[1:3]
    rows, cols = weight.shape[2:]
    for row in range(rows):
        for col in range(cols):
            down, right = (row - rows // 2) * dilation, (col - cols // 2) * dilation
            if abs(down) < height and abs(right) < width:
                vertical, horizontal = _overlap(height, down), _overlap(width, right)
                yield _Tap(row, col, *zip(vertical, horizontal, strict=True))


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where i and i + shift are both in 0..size: the i, and the i + shift."""
    start, stop = max(0, -shift), min(size, size - shift)
    return slice(start, stop), slice(start + shift, stop + shift)
