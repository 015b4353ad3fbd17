"""Statistics and restyling against the equations computed pixel by pixel in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langdg_d2.structures import ChannelStats, PatchGrid, mix, patch_stats, restyle
from langdg_d2.utils.errors import LangDGError

GRIDS = st.builds(PatchGrid, st.integers(1, 3), st.integers(1, 3))


def features(height, width, seed=0, images=2, channels=3):
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(1, channels, 1, 1, generator=generator)
    return (torch.randn(images, channels, height, width, generator=generator) + shift).relu()


def relative_error(found, expected):
    return ((found.double() - expected).norm() / expected.norm().clamp(min=1e-12)).item()


@settings(deadline=None, max_examples=25)
@given(grid=GRIDS, height=st.integers(6, 11), width=st.integers(6, 11), seed=st.integers(0, 99))
def test_statistics_are_those_of_each_patch(reference, grid, height, width, seed):
    x = features(height, width, seed)
    stats = patch_stats(x, grid)
    mean, std = torch.empty_like(stats.mean).double(), torch.empty_like(stats.std).double()
    for n, image in enumerate(x):
        for k, (rows, cols) in enumerate(reference.cells(height, width, grid.rows, grid.cols)):
            means, stds = reference.channel_statistics(image[:, rows, cols])
            mean.flatten(2)[n, :, k] = torch.tensor(means, dtype=torch.float64)
            std.flatten(2)[n, :, k] = torch.tensor(stds, dtype=torch.float64)
    assert relative_error(stats.mean, mean) < 1e-5
    assert relative_error(stats.std, std) < 1e-5


@settings(deadline=None, max_examples=15)
@given(grid=GRIDS, height=st.integers(6, 10), width=st.integers(6, 10), seed=st.integers(0, 99))
def test_restyling_and_mixing_follow_the_equations(reference, grid, height, width, seed):
    x = features(height, width, seed)
    generator = torch.Generator().manual_seed(seed)
    own = patch_stats(x, grid)
    target = ChannelStats(
        *(torch.rand(own.mean.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    )
    weight = torch.rand(len(x), x.shape[1], 1, 1, generator=generator, dtype=torch.float64)
    target32 = ChannelStats(target.mean.float(), target.std.float())
    found = restyle(x, own=own, target=mix(own, target32, weight.float()), grid=grid)
    for n, image in enumerate(x):
        styles = [
            (target.mean.flatten(2)[n, :, k].tolist(), target.std.flatten(2)[n, :, k].tolist())
            for k in range(grid.rows * grid.cols)
        ]
        alpha = weight[n].flatten().tolist()
        expected = reference.mixed_image(image, grid.rows, grid.cols, styles, alpha)
        assert relative_error(found[n], expected) < 1e-5


@pytest.mark.parametrize("size", [(12, 12), (13, 11)], ids=["divides", "uneven"])
def test_own_style_changes_nothing_on_features_after_relu(size):
    x = features(*size)
    grid = PatchGrid(3, 3)
    own = patch_stats(x, grid)
    assert torch.allclose(restyle(x, own=own, target=own, grid=grid), x, atol=1e-6)


@pytest.mark.parametrize("size", [(12, 12), (13, 11)], ids=["divides", "uneven"])
def test_memory_format_and_type_are_kept_and_gradients_flow(size):
    grid = PatchGrid(3, 3)
    x = features(*size).contiguous(memory_format=torch.channels_last).bfloat16()
    x.requires_grad_()
    own = patch_stats(x.detach(), grid)
    assert own.mean.dtype == torch.float32
    out = restyle(x, own=own, target=ChannelStats(own.mean + 1, 2 * own.std), grid=grid)
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.sum().backward()
    assert 0 < x.grad.abs().sum() < torch.inf


def test_patches_of_one_pixel_are_refused():
    with pytest.raises(LangDGError, match="patches of one pixel, which have no variance"):
        patch_stats(torch.rand(1, 1, 3, 3), PatchGrid(3, 3))
