"""The head's structure, parameter for parameter, and its output."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec

from langdg_d2.modeling import DeepLabV3PlusHead
from langdg_d2.modeling.sem_seg_head.deeplab_v3plus import AtrousSpatialPyramidPooling


def build(low=16, high=32, classes=5, channels=8, project=4):
    return DeepLabV3PlusHead(
        input_shape={"res2": ShapeSpec(channels=low), "res5": ShapeSpec(channels=high)},
        low_level="res2",
        high_level="res5",
        num_classes=classes,
        low_level_channels=project,
        channels=channels,
        atrous_rates=(6, 12, 18),
        dropout=0.1,
    )


def test_parameters_of_the_papers_head_are_counted_as_published():
    head = build(low=256, high=2048, classes=19, channels=256, project=48)
    convolutions = (
        256 * 48  # projection of the low-level features
        + 2 * 2048 * 256  # pyramid: 1x1 and image pooling
        + 3 * 9 * 2048 * 256  # pyramid: three dilated 3x3
        + 5 * 256 * 256  # pyramid's projection
        + 9 * 304 * 256  # decoder
        + (256 + 1) * 19  # classifier, the only one with a bias
    )
    norms = 2 * (48 + 5 * 256 + 256 + 256)
    assert sum(p.numel() for p in head.parameters()) == convolutions + norms


def test_logits_have_the_size_of_the_low_level_features():
    features = {"res2": torch.rand(2, 16, 13, 17), "res5": torch.rand(2, 32, 4, 5)}
    assert build()(features).shape == (2, 5, 13, 17)


def test_every_parameter_gets_a_gradient_and_both_inputs_matter():
    head = build(project=6)
    features = {
        "res2": torch.rand(2, 16, 12, 12, requires_grad=True),
        "res5": torch.rand(2, 32, 6, 6, requires_grad=True),
    }
    (head(features) - 1).square().mean().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or "bias" in name, name
    assert all(0 < feature.grad.abs().sum() < torch.inf for feature in features.values())


def test_pyramid_at_one_pixel_sees_exactly_its_rates():
    pyramid = AtrousSpatialPyramidPooling(
        in_channels=1, channels=1, rates=(2, 3), dropout=0.0
    ).eval()
    reached = torch.zeros(1, 1, 9, 9, requires_grad=True)
    for branch, rate in zip(pyramid.atrous, (2, 3), strict=True):
        (gradient,) = torch.autograd.grad(branch[0](reached)[0, 0, 4, 4], reached)
        rows, columns = torch.nonzero(gradient[0, 0], as_tuple=True)
        assert (
            sorted(set(rows.tolist())) == sorted(set(columns.tolist())) == [4 - rate, 4, 4 + rate]
        )


def test_image_pooling_puts_the_images_mean_everywhere():
    pyramid = AtrousSpatialPyramidPooling(in_channels=3, channels=2, rates=(1,), dropout=0.0).eval()
    x = torch.rand(2, 3, 5, 7)
    pooled = pyramid.image_pool(x)
    expected = pyramid.image_pool[1:](x.mean((2, 3), keepdim=True))
    assert torch.allclose(pooled, expected, atol=1e-6)


def test_weights_are_he_normal():
    head = build(low=64, high=64, channels=128)
    weight = head.fuse[0].weight
    fan_in = weight[0].numel()
    assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
    assert abs(weight.mean().item()) < 3 * math.sqrt(2 / fan_in / weight.numel())
