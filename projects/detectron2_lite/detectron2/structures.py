"""Images of different sizes in one tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

__all__ = ["ImageList"]


class ImageList:
    """A padded batch (N, ..., H, W), and the (h, w) of every image before padding."""

    def __init__(self, tensor: torch.Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.image_sizes = image_sizes
        self.tensor = tensor

    def __getitem__(self, idx: int) -> torch.Tensor:
        """An image without padding."""
        height, width = self.image_sizes[idx]
        return self.tensor[idx, ..., :height, :width]

    def __len__(self) -> int:
        return len(self.image_sizes)

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """As `torch.Tensor.to`."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        """Where the batch is."""
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: Sequence[torch.Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: Mapping[str, int] | None = None,
    ) -> "ImageList":
        """Copy images (..., h, w) into one batch, padded at the right and the bottom.

        The constraints, "size_divisibility" and "square_size", replace the argument and the
        largest height and width.
        """
        assert isinstance(tensors, list | tuple), f"expected a list of images, not {type(tensors)}"
        leading = {image.shape[:-2] for image in tensors}
        assert len(leading) == 1, f"images must agree but for height and width, got {leading}"
        sizes = [(image.shape[-2], image.shape[-1]) for image in tensors]
        constraints = padding_constraints or {}
        square = constraints.get("square_size", 0)
        largest = (square, square) if square > 0 else map(max, zip(*sizes, strict=True))
        stride = max(1, constraints.get("size_divisibility", size_divisibility))
        size = [-(-extent // stride) * stride for extent in largest]
        batch = tensors[0].new_full((len(tensors), *leading.pop(), *size), pad_value)
        for index, (height, width) in enumerate(sizes):
            batch[index, ..., :height, :width] = tensors[index]
        return ImageList(batch, sizes)
