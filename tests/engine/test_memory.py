"""Layouts in memory by name."""

import pytest
import torch

from langdg_d2.engine import memory_format


@pytest.mark.parametrize("name", ["channels_last", "contiguous_format"])
def test_named_layout_is_the_one_a_model_gets(name):
    assert memory_format(name) is getattr(torch, name)
    weight = torch.nn.Conv2d(3, 4, 3).to(memory_format=memory_format(name)).weight
    assert weight.is_contiguous(memory_format=memory_format(name))


@pytest.mark.parametrize("name", ["channels_first", "nn", ""])
def test_other_names_are_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=rf"'{name}' must be one of \['channels_last', 'contig"):
        memory_format(name)
