"""Random draws for the generator, because NumPy's `choice` is slow for single values."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Range = tuple[float, float]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one of the options uniformly."""
    return options[int(rng.integers(len(options)))]


def pick_weighted(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """Draw one of the keys with probability proportional to its weight."""
    keys = list(weights)
    bounds = np.cumsum(list(weights.values()))
    return keys[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]


def spots(rng: np.random.Generator, start: float, end: float, gap: Range) -> list[float]:
    """Draw positions from start to end with random gaps."""
    found = []
    position = start + rng.uniform(0, gap[1])
    while position < end:
        found.append(float(position))
        position += rng.uniform(*gap)
    return found


def vary(
    rng: np.random.Generator, color: tuple[float, float, float], amount: float = 0.06
) -> tuple[float, float, float]:
    """Randomly change the brightness and, to a smaller extent, the tint of a colour in 0..1."""
    brightness, *tints = rng.standard_normal(4).tolist()
    r, g, b = (
        min(max(value * (1 + amount * brightness) * (1 + amount / 3 * tint), 0.02), 0.98)
        for value, tint in zip(color, tints, strict=True)
    )
    return (r, g, b)
