"""Images of different sizes in one tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch


class ImageList:
    """A padded batch that remembers the size of every image."""

    def __init__(self, tensor: torch.Tensor, image_sizes: list[tuple[int, int]]) -> None:
        """Args: tensor: (N, ..., H, W). image_sizes: (h, w) of each image before padding."""
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, idx: int) -> torch.Tensor:
        """Image ``idx`` without padding, (h, w) or (..., h, w), a view."""
        height, width = self.image_sizes[idx]
        return self.tensor[idx, ..., :height, :width]

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """A new list whose tensor went through ``tensor.to`` with these arguments."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        """Where the tensor is."""
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: Sequence[torch.Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: Mapping[str, int] | None = None,
    ) -> "ImageList":
        """Copy images into one batch, padded at the right and the bottom.

        Args:
            tensors: at least one, a list or tuple, each (h_i, w_i) or (..., h_i, w_i), equal in
                all but the last two dimensions.
            size_divisibility: above 1, both sizes of the batch become multiples of it.
            padding_constraints: may hold "size_divisibility", which then replaces the argument,
                and "square_size", which above 0 replaces the largest height and width.
        """
        assert isinstance(tensors, list | tuple), f"tensors must be a list, not {type(tensors)}"
        assert tensors, "tensors is empty: an ImageList needs at least one image"
        leading = tensors[0].shape[:-2]
        for image in tensors:
            assert isinstance(image, torch.Tensor), f"an image is a {type(image)}, not a tensor"
            assert image.shape[:-2] == leading, f"image shapes differ: {image.shape}, {leading}"
        sizes = [(image.shape[-2], image.shape[-1]) for image in tensors]
        size = [max(extent) for extent in zip(*sizes, strict=True)]
        constraints = padding_constraints or {}
        if constraints.get("square_size", 0) > 0:
            size = [constraints["square_size"]] * 2
        stride = max(1, constraints.get("size_divisibility", size_divisibility))
        size = [-(-extent // stride) * stride for extent in size]
        batch = tensors[0].new_full((len(tensors), *leading, *size), pad_value)
        for index, (height, width) in enumerate(sizes):
            batch[index, ..., :height, :width] = tensors[index]
        return ImageList(batch, sizes)
