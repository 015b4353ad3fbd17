"""Small style banks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from langdg_d2.styles import BankHeader, StyleBank

CLASSES = ("road", "traffic light", "sky")


@pytest.fixture(scope="session")
def make_bank() -> Callable[..., StyleBank]:
    """Function that makes a bank of class ids and texts; its statistics are random, but seeded."""

    def make(
        class_ids: Sequence[int],
        prompts: Sequence[str],
        *,
        cosines: Sequence[tuple[float, float]] | None = None,
        points: Sequence[Sequence[float]] | None = None,
        **header: Any,
    ) -> StyleBank:
        generator = torch.Generator().manual_seed(0)
        values = (
            torch.randn(len(prompts), 6, generator=generator)
            if points is None
            else torch.tensor(points, dtype=torch.float32)
        )
        mean, std = values.chunk(2, dim=1)
        known = [(math.nan, math.nan)] * len(prompts) if cosines is None else cosines
        both = torch.tensor(known, dtype=torch.float32).reshape(-1, 2)
        fields = {
            "clip_name": "tiny",
            "clip_fingerprint": "0123456789abcdef",
            "layer": "layer1",
            "channels": mean.shape[1],
            "grid": (3, 3),
            "class_names": CLASSES,
            "ignore_label": 255,
            "source": "gta5",
            "seed": 1,
        }
        return StyleBank(
            header=BankHeader(**fields | header),
            mean=mean,
            std=std,
            class_id=torch.tensor(class_ids, dtype=torch.uint8),
            prompts=prompts,
            cosine_before=both[:, 0],
            cosine_after=both[:, 1],
        )

    return make
