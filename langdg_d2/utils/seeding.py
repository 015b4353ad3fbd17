"""Randomness that is derived from numbers such as an iteration's, so that none has to be saved."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

SEEDS = 1 << 32  # NumPy takes those below


def derived_seed(*numbers: int, purpose: str = "") -> int:
    """A seed in 0..2**32-1 that depends on these numbers, none of them negative, and the purpose.

    Purposes keep apart what would be drawn alike from the same numbers.
    """
    sequence = np.random.SeedSequence(numbers, spawn_key=tuple(purpose.encode()))
    return int(sequence.generate_state(1)[0])


def seed_globally(seed: int) -> None:
    """Start the global randomness of Python, NumPy and torch, on all devices, from a seed."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """As `seed_globally`, but on the CPU only, and the randomness is put back afterwards."""
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
