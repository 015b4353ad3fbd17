"""The recipe's equations as slow, obvious loops in float64, written from the paper.

Every function works on one patch, pixel or channel at a time and shares no code with the library.
"""

import math
from collections import Counter

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
