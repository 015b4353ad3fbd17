"""Source images cut into patches, and the patches' own styles, as mining sees them."""

import torch
from torch import Tensor

from ...modeling import ClipResNet, PixelNormalization
from ...structures import PatchGrid, patch_stats
from ..sem_seg import Image
from .distances import style_points

_WHOLE = PatchGrid(1, 1)


class PatchReader:
    """The patches of images and their own styles, as mining sees them.

    Args:
        backbone: whose restyled features count.
        grid: patches that images are cut into.
        normalize: of the images, as in mining.
        device: where it runs.
    """

    def __init__(
        self,
        *,
        backbone: ClipResNet,
        grid: PatchGrid,
        normalize: PixelNormalization,
        device: str,
    ) -> None:
        # Mining has this memory format, and sums in another order differ in their last digits.
        self._backbone = backbone.eval().to(device, memory_format=torch.channels_last)
        self._grid = grid
        self._normalize = normalize.to(device)

    @torch.no_grad()
    def points(self, images: Tensor) -> Tensor:
        """Style points (N * cells, 2C) of images (N, 3, H, W) in 0..255, image by image."""
        features = self._backbone.forward_low(self._normalize(images))[self._backbone.restyled]
        cells = self._grid.split(features)
        # As in mining, where the grid does not divide evenly patches have the smallest one's size.
        height = min(cell.shape[-2] for cell in cells)
        width = min(cell.shape[-1] for cell in cells)
        patches = torch.stack([cell[..., :height, :width] for cell in cells], dim=1).flatten(0, 1)
        own = patch_stats(patches, _WHOLE)
        return style_points(own.mean.flatten(1), own.std.flatten(1))

    def classes(self, labels: Tensor) -> Tensor:
        """(N * cells,) most frequent labels of label maps (N, H, W) uint8."""
        return self._grid.majority(labels).flatten()

    def picture(self, image: Tensor, cell: int) -> Image:
        """The pixels of one cell of an image (3, H, W) uint8, as (h, w, 3)."""
        return self._grid.split(image)[cell].permute(1, 2, 0).numpy()

    @property
    def cells(self) -> int:
        """Patches of an image."""
        return self._grid.rows * self._grid.cols
