"""Small random draws used all over the generator (NumPy's `choice` is slow for single values)."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Range = tuple[float, float]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def pick_weighted(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """One of the keys, with probability proportional to its weight."""
    keys = list(weights)
    bounds = np.cumsum(list(weights.values()))
    return keys[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]


def spots(rng: np.random.Generator, start: float, end: float, gap: Range) -> list[float]:
    """Positions from start to end with random gaps between them."""
    found = []
    position = start + rng.uniform(0, gap[1])
    while position < end:
        found.append(float(position))
        position += rng.uniform(*gap)
    return found


def vary(
    rng: np.random.Generator, color: tuple[float, float, float], amount: float = 0.06
) -> tuple[float, float, float]:
    """A colour (0..1) with its brightness and, less, its tint changed at random."""
    brightness, *tints = rng.standard_normal(4).tolist()
    r, g, b = (
        min(max(value * (1 + amount * brightness) * (1 + amount / 3 * tint), 0.02), 0.98)
        for value, tint in zip(color, tints, strict=True)
    )
    return (r, g, b)
