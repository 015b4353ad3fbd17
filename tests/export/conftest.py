"""A segmentor of the tiny CLIP."""

from collections.abc import Callable

import pytest
import torch

from langdg_d2.modeling import LangDGSegmentor


@pytest.fixture(scope="session")
def model(
    random_segmentor: Callable[[list[str]], LangDGSegmentor], tiny_model: list[str]
) -> LangDGSegmentor:
    torch.manual_seed(0)
    return random_segmentor(tiny_model)
