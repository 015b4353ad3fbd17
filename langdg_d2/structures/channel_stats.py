"""Styles as channel statistics, and restyling by AdaIN (paper sections 3 and 4.2)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..utils.amp import at_least_single
from ..utils.errors import LangDGError
from .patch_grid import PatchGrid

_EPSILON = 1e-5  # added to variances, as in AdaIN and the official code


class ChannelStats(NamedTuple):
    """Styles of the patches of feature maps.

    Attributes:
        mean: (N, C, rows, cols).
        std: (N, C, rows, cols).
    """

    mean: Tensor
    std: Tensor


def patch_stats(features: Tensor, grid: PatchGrid) -> ChannelStats:
    """Compute the statistics of each channel over the pixels of each patch.

    The standard deviation is `sqrt(unbiased variance + 1e-5)`. Results are at least float32.

    Args:
        features: (N, C, H, W).
        grid: grid of patches with at least two pixels each; it need not divide H and W evenly.
    """
    features = at_least_single(features)
    height, width = features.shape[-2:]
    if (height // grid.rows) * (width // grid.cols) < 2:
        raise LangDGError(
            f"PatchGrid({grid.rows}, {grid.cols}) cuts a {height}x{width} map into patches of one "
            "pixel, which have no variance; use larger crops or a coarser grid"
        )
    if grid.divides(features):  # the fast path
        cells = grid.as_cells(features)  # (N, C, rows, h, cols, w)
        mean, variance = cells.mean(dim=(3, 5)), cells.var(dim=(3, 5))
    else:
        pixels = grid.cell_sums(torch.ones_like(features[:1, :1]))
        mean = grid.cell_sums(features) / pixels
        centred = features - grid.expand(mean, features)
        variance = grid.cell_sums(centred.square()) / (pixels - 1)
    return ChannelStats(mean, (variance + _EPSILON).sqrt())


def restyle(
    features: Tensor,
    *,
    own: ChannelStats,
    target: ChannelStats,
    grid: PatchGrid,
    activation: Callable[[Tensor], Tensor] = torch.relu,
) -> Tensor:
    """Restyle every patch: `activation(std (f - mean_own) / std_own + mean)`.

    Args:
        features: (N, C, H, W).
        own: statistics to remove; those of `features`, except in ablations.
        target: new statistics.
        grid: grid of the statistics.
        activation: activation that ends the layer, ReLU in ResNets.

    Returns:
        (N, C, H, W), with the dtype and memory format of `features`.
    """
    scale = target.std / own.std
    x = at_least_single(features)
    if grid.divides(features):
        x = grid.as_cells(x)
        mean, scale, shift = (s[:, :, :, None, :, None] for s in (own.mean, scale, target.mean))
    else:
        mean, scale, shift = (grid.expand(s, features) for s in (own.mean, scale, target.mean))
    restyled = activation((x - mean) * scale + shift)
    return restyled.view(features.shape).to(features.dtype)


def mix(first: ChannelStats, second: ChannelStats, weight: Tensor) -> ChannelStats:
    """Compute `weight * first + (1 - weight) * second`; weight broadcasts to (N, C, rows, cols)."""
    return ChannelStats(
        torch.lerp(second.mean, first.mean, weight), torch.lerp(second.std, first.std, weight)
    )
