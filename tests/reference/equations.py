"""The recipe's equations as slow, obvious loops in float64, written from the paper.

Every function works on one patch, pixel or channel at a time and shares no code with the library.
"""

import math
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

IGNORE = 255


def cells(height: int, width: int, rows: int, cols: int) -> list[tuple[slice, slice]]:
    """Where the patches lie, row by row."""
    return [
        (
            slice(r * height // rows, (r + 1) * height // rows),
            slice(c * width // cols, (c + 1) * width // cols),
        )
        for r in range(rows)
        for c in range(cols)
    ]


def majority_class(patch: Tensor) -> int:
    """Most frequent label of a patch; the smallest of several."""
    counts = Counter(int(value) for value in patch.flatten())
    most = max(counts.values())
    return min(label for label, count in counts.items() if count == most)


def channel_statistics(patch: Tensor) -> tuple[list[float], list[float]]:
    """Mean and std of each channel of a patch (C, h, w)."""
    means, stds = [], []
    for channel in patch.double():
        values = [float(v) for v in channel.flatten()]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
        means.append(mean)
        stds.append(math.sqrt(variance + 1e-5))
    return means, stds


def restyled_patch(patch: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """PIN / AdaIN of a patch (C, h, w) followed by ReLU."""
    own_mean, own_std = channel_statistics(patch)
    result = torch.empty(patch.shape, dtype=torch.float64)
    for c in range(len(patch)):
        for i in range(patch.shape[1]):
            for j in range(patch.shape[2]):
                normalised = (float(patch[c, i, j]) - own_mean[c]) / own_std[c]
                result[c, i, j] = max(0.0, std[c] * normalised + mean[c])
    return result


def mixed_image(
    image: Tensor,
    rows: int,
    cols: int,
    styles: list[tuple[list[float], list[float]]],
    alpha: list[float],
) -> Tensor:
    """Training's restyling of one image (C, H, W).

    Args:
        styles: mean and std drawn for each patch, row by row.
        alpha: weight of the patch's own statistics, one for each channel.
    """
    result = torch.empty(image.shape, dtype=torch.float64)
    for (y, x), (mean, std) in zip(cells(*image.shape[1:], rows, cols), styles, strict=True):
        patch = image[:, y, x]
        own_mean, own_std = channel_statistics(patch)
        mixed_mean = [a * o + (1 - a) * t for a, o, t in zip(alpha, own_mean, mean, strict=True)]
        mixed_std = [a * o + (1 - a) * t for a, o, t in zip(alpha, own_std, std, strict=True)]
        result[:, y, x] = restyled_patch(patch, mixed_mean, mixed_std)
    return result


def mined_style(
    patch: Tensor,
    text: Tensor,
    embed: Callable[[Tensor], Tensor],
    side: int,
    others: int,
    *,
    steps: int,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, list[float]]:
    """PIN's optimisation of one patch (C, h, w) in float64, with SGD written out.

    Args:
        text: unit vector (D,).
        embed: CLIP's remaining layers, of a float64 batch (1, C, side, side).
        side: to which the restyled patch is average-pooled.
        others: number of patches over which the loss is averaged.

    Returns:
        Mean and std (C,), and this patch's `1 - cosine` before each step.
    """
    own_mean, own_std = (torch.tensor(v, dtype=torch.float64) for v in channel_statistics(patch))
    normalised = (patch.double() - own_mean[:, None, None]) / own_std[:, None, None]
    values = [own_mean.clone(), own_std.clone()]
    velocity = [torch.zeros_like(v) for v in values]
    losses = []
    for step in range(steps):
        mean, std = (v.clone().requires_grad_() for v in values)
        restyled = (std[:, None, None] * normalised + mean[:, None, None]).clamp(min=0)
        vector = embed(average_pool(restyled, side)[None])[0]
        cosine = (vector * text).sum() / (vector.norm() * text.norm())
        losses.append(1 - float(cosine.detach()))
        gradients = torch.autograd.grad((1 - cosine) / others, [mean, std])
        for k, gradient in enumerate(gradients):
            gradient = gradient + weight_decay * values[k]
            velocity[k] = gradient if step == 0 else momentum * velocity[k] + gradient
            values[k] = values[k] - lr * velocity[k]
    return values[0], values[1], losses


def average_pool(patch: Tensor, side: int) -> Tensor:
    """Cells of (C, h, w) from floor(k h / side) to ceil((k + 1) h / side), averaged."""
    height, width = patch.shape[1:]
    rows = []
    for i in range(side):
        top, bottom = i * height // side, -(-(i + 1) * height // side)
        row = []
        for j in range(side):
            left, right = j * width // side, -(-(j + 1) * width // side)
            row.append(patch[:, top:bottom, left:right].mean((1, 2)))
        rows.append(torch.stack(row, 1))
    return torch.stack(rows, 1)
