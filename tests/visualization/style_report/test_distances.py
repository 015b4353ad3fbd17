"""Distances of styles against closed forms."""

import math

import pytest
import torch
from scipy.linalg import sqrtm

from langdg_d2.structures import ChannelStats, PatchGrid, restyle
from langdg_d2.visualization.style_report import class_distances, style_points, typical_styles
from langdg_d2.visualization.style_report.distances import pairwise

# Mean and std of one channel.
POINTS = [[0.0, 1.0], [2.0, 1.0], [1.0, 4.0], [1.0, 4.0], [9.0, 9.0]]


@pytest.fixture
def bank(make_bank):
    return make_bank([0, 0, 255, 255, 255], ["a"] * 5, points=POINTS)


def test_class_distances_are_those_of_the_means_and_spreads_those_around_them(bank):
    result = class_distances(bank)
    assert result.names == ["road", "ignore"]
    center = (11 / 3, 17 / 3)
    between = math.hypot(center[0] - 1, center[1] - 1)
    expected = torch.tensor([[0, between], [between, 0]], dtype=torch.float64)
    torch.testing.assert_close(result.centers, expected)
    around = [math.hypot(x - center[0], y - center[1]) ** 2 for x, y in POINTS[2:]]
    spreads = torch.tensor([1, math.sqrt(sum(around) / 3)], dtype=torch.float64)
    torch.testing.assert_close(result.spreads, spreads)


def test_typical_styles_lie_nearest_to_the_mean_of_their_class(bank):
    assert typical_styles(bank) == [0, 2]  # of equally near ones the first


def test_a_distance_is_the_frechet_distance_of_gaussians():
    mean, std = torch.randn(2, 5).double(), torch.rand(2, 5).double()
    points = style_points(mean, std)
    covariances = [torch.diag(row.square()) for row in std]
    product = torch.from_numpy(sqrtm((covariances[0] @ covariances[1]).numpy()).real)
    trace = sum(c.trace() for c in covariances) - 2 * product.trace()
    frechet = ((mean[0] - mean[1]).square().sum() + trace).sqrt()
    torch.testing.assert_close(pairwise(points[:1], points[1:])[0, 0], frechet)


def test_a_distance_is_the_difference_that_restyling_makes():
    """Root mean square over the pixels; with means that keep ReLU away."""
    content = torch.randn(1, 4, 60, 60).double()
    mean, std = 50 + torch.randn(2, 4).double(), torch.randn(2, 4).double()
    grid = PatchGrid(1, 1)
    own = ChannelStats(
        content.mean(dim=(2, 3), keepdim=True),
        content.var(dim=(2, 3), unbiased=False, keepdim=True).sqrt(),
    )
    first, second = (
        restyle(
            content,
            own=own,
            target=ChannelStats(m.view(1, -1, 1, 1), s.view(1, -1, 1, 1)),
            grid=grid,
        )
        for m, s in zip(mean, std, strict=True)
    )
    difference = (first - second).square().sum(dim=1).mean().sqrt()
    points = style_points(mean, std)
    torch.testing.assert_close(pairwise(points[:1], points[1:])[0, 0], difference)


def test_small_distances_keep_their_digits():
    points = torch.full((40, 30), 1e3)
    near = points.clone()
    near[:, 0] += 0.25
    assert torch.equal(pairwise(points, near), torch.full((40, 40), 0.25))
