"""From what a network gives to what was asked for."""

import torch
from torch.nn import functional as F


def sem_seg_postprocess(
    result: torch.Tensor, img_size: tuple[int, int], output_height: int, output_width: int
) -> torch.Tensor:
    """Cut the padding off a score map and resize it bilinearly (``align_corners=False``).

    Args:
        result: (K, H, W) scores of K classes.
        img_size: (h, w) of the image within (H, W).

    Returns:
        (K, output_height, output_width).
    """
    height, width = img_size
    image = result[:, :height, :width].unsqueeze(0)
    size = (output_height, output_width)
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False).squeeze(0)
