"""Taps one by one give what a padded convolution gives."""

import pytest
import torch
import torch.nn.functional as F

from langdg_d2.layers.dilated_conv import DilatedConv2d, dilated_conv


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 1)])
@pytest.mark.parametrize("dilation", [1, 2, 5, 30])
def test_it_is_the_padded_convolution(kernel, dilation):
    x, weight = random(2, 6, 9, 11).double(), random(4, 6, *kernel).double()
    x, weight = x.requires_grad_(), weight.requires_grad_()
    expected = F.conv2d(x, weight, padding="same", dilation=dilation)
    found = dilated_conv(x, weight, dilation)
    wanted = random(*expected.shape).double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad((y * wanted).sum(), (x, weight)) for y in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_sums_are_in_single_precision_under_autocast():
    x, weight = random(2, 64, 16, 20), random(8, 64, 3, 3)
    exact = F.conv2d(x, weight, padding=2, dilation=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = dilated_conv(x, weight, 2)
        usual = F.conv2d(x, weight, padding=2, dilation=2)
    assert ours.dtype == usual.dtype == torch.bfloat16
    errors = [(y.float() - exact).square().mean().sqrt() for y in (ours, usual)]
    assert errors[0] < 1.5 * errors[1]


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_is_torchs_own(bias):
    settings = {"padding": 2, "dilation": 2, "bias": bias}
    ours, theirs = DilatedConv2d(4, 6, 3, **settings), torch.nn.Conv2d(4, 6, 3, **settings)
    theirs.load_state_dict(ours.state_dict())
    x = random(2, 4, 9, 11)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(m(x).square().sum(), m.weight)[0] for m in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
