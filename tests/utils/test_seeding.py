"""Derived randomness: what it depends on, and what it leaves alone."""

import random

import numpy as np
import pytest
import torch

from langdg_d2.utils.seeding import derived_seed, globally_seeded, seed_globally


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeds_differ_by_number_order_and_purpose():
    asked = [(1,), (2,), (1, 2), (2, 1)]
    seeds = {derived_seed(*numbers, purpose=p) for numbers in asked for p in ("", "a", "b")}
    assert len(seeds) == 12
    assert derived_seed(1, 2, purpose="a") == derived_seed(1, 2, purpose="a")
    assert all(0 <= seed < 2**32 for seed in seeds)
    with pytest.raises(ValueError, match="non-negative"):
        derived_seed(-1)


def test_global_random_state_is_seeded_and_restored():
    seed_globally(3)
    first, second = draw(), draw()
    seed_globally(3)
    assert draw() == first
    with globally_seeded(3):
        assert draw() == first
    assert draw() == second
