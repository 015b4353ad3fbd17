"""From what a network gives to what was asked for."""

import torch
from torch.nn import functional as F


def sem_seg_postprocess(
    result: torch.Tensor, img_size: tuple[int, int], output_height: int, output_width: int
) -> torch.Tensor:
    """Cut scores (K, H, W) to the image's (h, w) without padding, and resize them bilinearly."""
    height, width = img_size
    image = result[None, :, :height, :width]
    size = output_height, output_width
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)[0]
