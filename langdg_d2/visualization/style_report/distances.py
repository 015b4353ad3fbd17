"""How far styles are from each other.

A style gives every channel a mean and a standard deviation, so it is a point (mean, std) of twice
as many dimensions as there are channels. The distance of two points,

    sqrt(|mean_a - mean_b|^2 + |std_a - std_b|^2),

is the root of the squared difference that restyling one content with the one and the other makes
to an average pixel, before ReLU and summed over channels. Where no std is negative it is also the
2-Wasserstein (Frechet) distance of the two diagonal Gaussians (Dowson and Landau, The Frechet
distance between multivariate normal distributions, Journal of Multivariate Analysis 12, 1982).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...styles import StyleBank


class ClassDistances(NamedTuple):
    """Distances between the styles of K classes, those that have any.

    Attributes:
        names: of the classes, "ignore" last.
        centers: (K, K) between the mean styles of two classes, zero on the diagonal.
        spreads: (K,) root mean square distance of a class's styles from their mean.
    """

    names: list[str]
    centers: Tensor
    spreads: Tensor


def style_points(mean: Tensor, std: Tensor) -> Tensor:
    """(S, 2C) points of S styles whose mean and std are (S, C)."""
    return torch.cat([mean, std], dim=1)


def pairwise(first: Tensor, second: Tensor) -> Tensor:
    """(S, T) distances between points (S, D) and (T, D)."""
    # The faster way, by a matrix product, loses the digits of small distances.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def class_distances(bank: StyleBank) -> ClassDistances:
    """Between the mean styles of classes, and within each class."""
    points = _points(bank)
    by_class = {name: points[bank.class_id == bank.header.labels[name]] for name in _present(bank)}
    centers = torch.stack([own.mean(dim=0) for own in by_class.values()])
    spreads = [
        (own - center).square().sum(dim=1).mean().sqrt()
        for own, center in zip(by_class.values(), centers, strict=True)
    ]
    return ClassDistances(list(by_class), pairwise(centers, centers), torch.stack(spreads))


def typical_styles(bank: StyleBank) -> list[int]:
    """The row of each class's style that lies nearest to the class's mean, class by class."""
    points = _points(bank)
    rows = []
    for name in _present(bank):
        own = (bank.class_id == bank.header.labels[name]).nonzero().flatten()
        center = points[own].mean(dim=0, keepdim=True)
        rows.append(int(own[pairwise(points[own], center).argmin()]))
    return rows


def _points(bank: StyleBank) -> Tensor:
    return style_points(bank.mean, bank.std).double()


def _present(bank: StyleBank) -> list[str]:
    return [name for name, count in bank.counts().items() if count]
