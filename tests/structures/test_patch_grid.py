"""The patch grid on any size, against loops over pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langdg_d2.structures import PatchGrid
from langdg_d2.utils.errors import LangDGError

sizes = st.integers(1, 23)
grids = st.builds(PatchGrid, st.integers(1, 5), st.integers(1, 5))


def fits(grid: PatchGrid, height: int, width: int) -> bool:
    return height >= grid.rows and width >= grid.cols


@settings(deadline=None, max_examples=60)
@given(grid=grids, height=sizes, width=sizes)
def test_cells_partition_the_map_evenly(grid, height, width):
    maps = torch.arange(2 * height * width).view(2, height, width)
    if not fits(grid, height, width):
        with pytest.raises(LangDGError, match=rf"cannot split a {height}x{width} map"):
            grid.split(maps)
        return
    cells = grid.split(maps)
    assert len(cells) == grid.rows * grid.cols
    heights, widths = {c.shape[-2] for c in cells}, {c.shape[-1] for c in cells}
    assert max(heights) - min(heights) <= 1
    assert max(widths) - min(widths) <= 1
    rows = [torch.cat(cells[k : k + grid.cols], -1) for k in range(0, len(cells), grid.cols)]
    assert torch.equal(torch.cat(rows, -2), maps)
    storages = {c.untyped_storage().data_ptr() for c in cells}
    assert storages == {maps.untyped_storage().data_ptr()}


@settings(deadline=None, max_examples=60)
@given(grid=grids, height=sizes, width=sizes, classes=st.integers(1, 4), seed=st.integers(0, 99))
def test_majority_is_the_most_frequent_label_of_each_cell(
    reference, grid, height, width, classes, seed
):
    if not fits(grid, height, width):
        return
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor([0, 3, 18, 255], dtype=torch.uint8)
    picks = torch.randint(0, classes, (2, height, width), generator=generator)
    labels = values[picks]
    found = grid.majority(labels)
    assert found.shape == (2, grid.rows, grid.cols)
    assert found.dtype == torch.uint8
    for image, classes_found in zip(labels, found, strict=True):
        slow = [
            reference.majority_class(image[y, x])
            for y, x in reference.cells(height, width, grid.rows, grid.cols)
        ]
        assert classes_found.flatten().tolist() == slow
    assert torch.equal(grid.majority(labels[0]), found[0])


@settings(deadline=None, max_examples=40)
@given(grid=grids, height=sizes, width=sizes)
def test_sums_and_expansion_agree_with_the_cells(grid, height, width):
    if not fits(grid, height, width):
        return
    maps = torch.rand(2, 3, height, width, dtype=torch.float64)
    sums = grid.cell_sums(maps)
    slow = torch.stack([cell.sum((-2, -1)) for cell in grid.split(maps)], -1)
    assert torch.allclose(sums.flatten(-2), slow)
    spread = grid.split(grid.expand(sums, maps))
    for k, cell in enumerate(spread):
        assert (cell == sums.flatten(-2)[..., k, None, None]).all()
    if grid.divides(maps):
        assert torch.allclose(grid.as_cells(maps).sum((-3, -1)), sums)


def test_image_and_features_are_cut_at_the_same_places():
    grid = PatchGrid(3, 3)
    image_cells = grid.split(torch.zeros(768, 768))
    feature_cells = grid.split(torch.zeros(192, 192))
    assert {c.shape for c in image_cells} == {(256, 256)}
    assert {c.shape for c in feature_cells} == {(64, 64)}


def test_grid_without_cells_is_refused():
    with pytest.raises(LangDGError, match=r"rows of the patch grid is 0"):
        PatchGrid(0, 3)
