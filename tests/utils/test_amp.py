"""Precisions and memory formats by name."""

import pytest
import torch

from langdg_d2.utils.amp import at_least_single, autocast, dtype_of, memory_format_of
from langdg_d2.utils.errors import LangDGError

A = torch.ones(2, 2)


def test_products_have_the_wanted_type():
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(name, "cpu"):
            assert (A @ A).dtype == dtype


def test_float32_holds_inside_autocast():
    with autocast("bfloat16", "cpu"), autocast("float32", "cpu"):
        assert (A @ A).dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "words"),
    [("half", "'half', expected one of float32, bfloat16, float16"), ("float16", "is for GPUs")],
)
def test_what_there_is_not_is_refused(precision, words):
    with pytest.raises(LangDGError, match=words):
        dtype_of(precision, "cpu")
    assert dtype_of("float16", "any accelerator") is torch.float16


def test_only_half_precision_is_raised():
    types = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
    found = [at_least_single(torch.ones(1, dtype=dtype)).dtype for dtype in types]
    assert found == [torch.float32] * 3 + [torch.float64]


@pytest.mark.parametrize("name", ["channels_last", "contiguous_format"])
def test_a_name_stands_for_torchs_own_format(name):
    assert memory_format_of(name) is getattr(torch, name)


@pytest.mark.parametrize("name", ["channels_first", "nn", ""])
def test_other_formats_are_refused_with_those_there_are(name):
    with pytest.raises(LangDGError, match=rf"'{name}' must be one of \['channels_last', 'contig"):
        memory_format_of(name)
