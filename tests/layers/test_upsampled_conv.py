"""The other order of two linear steps gives the same."""

import pytest
import torch
import torch.nn.functional as F

from langdg_d2.layers import UpsampledConv2d, resize_bilinear
from langdg_d2.layers.upsampled_conv import conv_of_upsampled


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 5)])
@pytest.mark.parametrize("size", [(20, 28), (13, 9), (5, 7), (3, 4)])
def test_it_is_the_convolution_of_the_upsampled_features(kernel, size):
    x, weight = random(2, 6, 5, 7).double(), random(4, 6, *kernel).double()
    x, weight = x.requires_grad_(), weight.requires_grad_()
    up = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    expected = F.conv2d(up, weight, padding="same")
    found = conv_of_upsampled(x, weight, size)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)
    wanted = random(*expected.shape).double()
    gradients = [torch.autograd.grad((y * wanted).sum(), (x, weight)) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_matrices_made_in_inference_mode_serve_in_training():
    x, weight = random(1, 4, 6, 6), random(3, 4, 3, 3).requires_grad_()
    with torch.inference_mode():
        expected = conv_of_upsampled(x, weight, (17, 19))
    found = conv_of_upsampled(x, weight, (17, 19))
    found.sum().backward()
    assert torch.equal(found, expected)
    assert weight.grad.any()


def test_autocast_error_is_within_twice_the_usual():
    x, weight = random(1, 64, 12, 12), random(16, 64, 3, 3) / 24
    up = F.interpolate(x, size=(48, 48), mode="bilinear", align_corners=False)
    exact = F.conv2d(up, weight, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, usual = conv_of_upsampled(x, weight, (48, 48)), F.conv2d(up, weight, padding=1)
    assert found.dtype == torch.bfloat16
    errors = [(y.float() - exact).square().mean().sqrt() for y in (found, usual)]
    assert errors[0] < 2 * errors[1]


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_is_the_convolution_of_both_maps(bias):
    layer = UpsampledConv2d(9, 4, 3, padding=1, bias=bias).double()
    fine, coarse = random(2, 3, 20, 28).double(), random(2, 6, 5, 7).double()
    both = torch.cat([fine, resize_bilinear(coarse, (20, 28))], dim=1)
    expected = F.conv2d(both, layer.weight, layer.bias, padding=1)
    found = layer((fine, coarse))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(y.square().sum(), layer.weight) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.filterwarnings("ignore")
def test_a_trace_of_the_layer_takes_any_size():
    layer = UpsampledConv2d(9, 4, 3, padding=1, bias=False).double()
    traced = torch.jit.trace(layer, [(random(1, 3, 8, 8).double(), random(1, 6, 2, 2).double())])
    maps = random(2, 3, 20, 28).double(), random(2, 6, 5, 7).double()
    torch.testing.assert_close(traced(maps), layer(maps))
