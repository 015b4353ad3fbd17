"""Grids of patches, the unit of local styles (paper section 4.2)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..utils.errors import LangDGError, require_int


@dataclass(frozen=True)
class PatchGrid:
    """Grid of `rows` x `cols` patches over maps of any size; FAMix uses 3 x 3.

    Cell boundaries are at floor(k * size / cells), so cells differ by one pixel if the size does
    not divide evenly. The same grid applies to an image and to its features at any stride.

    NOTE: the official code requires square crops of 768 pixels; this grid does not.
    """

    rows: int
    cols: int

    def __post_init__(self) -> None:
        require_int("rows of the patch grid", self.rows)
        require_int("cols of the patch grid", self.cols)

    def split(self, maps: Tensor) -> list[Tensor]:
        """Split maps into views of the cells, row by row.

        Args:
            maps: (..., H, W).

        Returns:
            rows * cols views (..., h_k, w_k), cell k = row * cols + col; nothing is copied.
        """
        height, width = self._require_size(maps)
        tops = [k * height // self.rows for k in range(self.rows + 1)]
        lefts = [k * width // self.cols for k in range(self.cols + 1)]
        return [
            maps[..., top:bottom, left:right]
            for top, bottom in pairwise(tops)
            for left, right in pairwise(lefts)
        ]

    def majority(self, labels: Tensor) -> Tensor:
        """Find the most frequent label of every cell; ties give the smallest label.

        Args:
            labels: (..., H, W) uint8; the ignore label counts like any other label.

        Returns:
            (..., rows, cols) uint8.
        """
        height, width = self._require_size(labels)
        values = torch.iinfo(labels.dtype).max + 1
        flat = labels.reshape(-1, height, width)
        # One histogram for all cells, with a bin for each image, cell and value.
        image = torch.arange(len(flat), device=labels.device)[:, None, None]
        row = _cell_index(height, self.rows, labels.device)
        cell = row[:, None] * self.cols + _cell_index(width, self.cols, labels.device)  # (H, W)
        slot = (image * (self.rows * self.cols) + cell) * values + flat
        cells = len(flat) * self.rows * self.cols
        counts = torch.bincount(slot.flatten(), minlength=cells * values)
        winner = counts.view(cells, values).argmax(dim=1).to(labels.dtype)
        return winner.view(*labels.shape[:-2], self.rows, self.cols)

    def divides(self, maps: Tensor) -> bool:
        """Whether all cells of maps (..., H, W) have the same size."""
        return maps.shape[-2] % self.rows == 0 and maps.shape[-1] % self.cols == 0

    def as_cells(self, maps: Tensor) -> Tensor:
        """View (..., rows, h, cols, w) of maps (..., H, W) that the grid divides evenly."""
        return maps.unflatten(-1, (self.cols, -1)).unflatten(-3, (self.rows, -1))

    def cell_sums(self, maps: Tensor) -> Tensor:
        """Sums over the pixels of each cell: (..., H, W) to (..., rows, cols)."""
        height, width = self._require_size(maps)
        rows = _membership(height, self.rows, maps)
        columns = _membership(width, self.cols, maps)
        with torch.autocast(maps.device.type, enabled=False):  # sums need full precision
            return rows @ maps @ columns.mT

    def expand(self, values: Tensor, like: Tensor) -> Tensor:
        """Expand values of cells (..., rows, cols) to the pixels of maps like (..., H, W)."""
        height, width = self._require_size(like)
        by_row = values[..., _cell_index(height, self.rows, values.device), :]
        return by_row[..., _cell_index(width, self.cols, values.device)]

    def _require_size(self, maps: Tensor) -> tuple[int, int]:
        height, width = maps.shape[-2:]
        if height < self.rows or width < self.cols:
            raise LangDGError(
                f"PatchGrid({self.rows}, {self.cols}) cannot split a {height}x{width} map"
            )
        return height, width


def _cell_index(size: int, cells: int, device: torch.device) -> Tensor:
    # The cell k with floor(k size / cells) <= pixel < floor((k + 1) size / cells), computed on the
    # device, because copying a table would synchronise.
    return ((torch.arange(size, device=device) + 1) * cells - 1) // size


def _membership(size: int, cells: int, like: Tensor) -> Tensor:
    """Membership matrix (cells, size): 1 where a pixel belongs to a cell."""
    index = _cell_index(size, cells, like.device)
    return (index == torch.arange(cells, device=like.device)[:, None]).to(like.dtype)
