"""A small style bank, and what tests need to look into any."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from langdg_d2.styles.bank import BankHeader, StyleBank

TENSORS = ("mean", "std", "class_id", "cosine_before", "cosine_after")
PROMPTS = ("Retro style road", "Noir style road", "photo", "Retro style car", "Retro style road")


@pytest.fixture(scope="session")
def header() -> BankHeader:
    """Of the small bank."""
    return BankHeader(
        clip_name="RN50-quickgelu",
        clip_fingerprint="0123456789abcdef",
        layer="layer1",
        channels=2,
        grid=(3, 3),
        class_names=("road", "car", "sky"),
        ignore_label=255,
        source="gta5",
        seed=7,
        settings={"steps": 100, "templates": ["a photo of {}"]},
    )


@pytest.fixture(scope="session")
def arguments(header: BankHeader) -> Callable[..., dict[str, Any]]:
    """Function that gives, with changes, what a bank is made of.

    Three styles of road, one of car and one of unlabelled patches.
    """

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "header": header,
            "mean": torch.arange(10.0).reshape(5, 2),
            "std": torch.linspace(-1, 3, 10).reshape(5, 2),
            "class_id": torch.tensor([0, 0, 255, 1, 0], dtype=torch.uint8),
            "prompts": PROMPTS,
            "cosine_before": torch.tensor([0.1, 0.2, 0.15, 0.3, 0.3]),
            "cosine_after": torch.tensor([0.4, 0.5, math.nan, 1.0005, 0.6]),
        } | changes

    return make


@pytest.fixture(scope="session")
def bank(arguments: Callable[..., dict[str, Any]]) -> Callable[..., StyleBank]:
    """Function that makes the small bank, with changes."""
    return lambda **changes: StyleBank(**arguments(**changes))


@pytest.fixture(scope="session")
def content() -> Callable[[StyleBank], tuple[object, ...]]:
    """Function that gives everything in a bank, to the last bit."""

    def of(one: StyleBank) -> tuple[object, ...]:
        tensors = [getattr(one, name) for name in TENSORS]
        bits = ((tuple(t.shape), t.dtype, t.numpy().tobytes()) for t in tensors)
        return one.header, one.prompts, *bits

    return of


@pytest.fixture(scope="session")
def rows_of() -> Callable[[StyleBank], list[tuple[object, ...]]]:
    """Function that gives the styles of a bank, each as a tuple."""

    def of(one: StyleBank) -> list[tuple[object, ...]]:
        columns = [[row.numpy().tobytes() for row in getattr(one, name)] for name in TENSORS]
        return list(zip(one.prompts, *columns, strict=True))

    return of
