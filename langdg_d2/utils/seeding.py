"""Random seeds derived from numbers such as the iteration, so that no RNG state is stored."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

SEEDS = 1 << 32  # number of seeds that NumPy takes


def derived_seed(*numbers: int, purpose: str = "") -> int:
    """Derive a seed in 0..2**32-1 from non-negative numbers.

    Different purposes give independent seeds for the same numbers.
    """
    sequence = np.random.SeedSequence(numbers, spawn_key=tuple(purpose.encode()))
    return int(sequence.generate_state(1)[0])


def seed_globally(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Seed the global CPU generators inside a `with` block and restore them on exit."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
