"""Memory formats have names, and other names are refused."""

import pytest
import torch

from langdg_d2.utils.amp import memory_format_of
from langdg_d2.utils.errors import LangDGError


@pytest.mark.parametrize("name", ["channels_last", "contiguous_format"])
def test_a_name_stands_for_torchs_own_format(name):
    assert memory_format_of(name) is getattr(torch, name)


@pytest.mark.parametrize("name", ["channels_first", "nn", ""])
def test_other_formats_are_refused_with_those_there_are(name):
    with pytest.raises(LangDGError, match=rf"'{name}' must be one of \['channels_last', 'contig"):
        memory_format_of(name)
