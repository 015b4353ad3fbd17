"""Normalisation of pixels."""

import logging
from collections.abc import Sequence

import open_clip
import timm
import torch
from torch import Tensor, nn

from ..utils.errors import LangDGError

logger = logging.getLogger(__name__)


class PixelNormalization(nn.Module):
    """Computes `(pixel - mean) / std` per channel; adds nothing to state dicts.

    Args:
        mean: mean of R, G and B, in 0..255.
        std: standard deviation of R, G and B, in 0..255.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if 0 < max(mean) <= 1:
            raise LangDGError(
                f"mean {list(mean)} and std {list(std)} are for pixels in 0..1, expected 0..255: "
                "multiply both by 255"
            )
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)

    def warn_if_different(self, tower: str) -> None:
        """Warn if the weights of a tower were trained with another mean or std.

        Args:
            tower: its name in timm or open_clip; other names are skipped.
        """
        if timm.is_model(tower):
            config = timm.get_pretrained_cfg(tower)
            released = [config.to_dict()] if config else []
        else:
            tags = open_clip.list_pretrained_tags_by_model(tower)
            released = [open_clip.get_pretrained_cfg(tower, tag) for tag in tags]
        own = torch.stack([self.mean, self.std]).view(2, 3).float().cpu()
        trained = [255 * torch.tensor([one["mean"], one["std"]]) for one in released]
        if trained and not any(torch.allclose(own, one) for one in trained):
            mean, std = ([round(value, 3) for value in row] for row in trained[0].tolist())
            logger.warning(
                "images are normalised by mean %s and std %s, but the weights of '%s' were "
                "trained with mean %s and std %s: set model.pixel_mean and model.pixel_std",
                *(*own.tolist(), tower, mean, std),
            )

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (..., 3, H, W) of any dtype; returns floats on this module's device."""
        return (images.to(self.mean.device, non_blocking=True) - self.mean) / self.std
