"""Resizing, which fvcore does with torch only, here with PIL as well."""

from __future__ import annotations

import numpy as np
import torch
from fvcore.transforms.transform import Transform
from PIL import Image

# Names of PIL's filters in torch.nn.functional.interpolate
_TORCH_MODES = {
    Image.Resampling.NEAREST: "nearest",
    Image.Resampling.BILINEAR: "bilinear",
    Image.Resampling.BICUBIC: "bicubic",
}


class ResizeTransform(Transform):
    """Resize from (h, w) to (new_h, new_w) pixels.

    Args:
        interp: a filter of PIL for images, bilinear by default; label maps take the nearest pixel.
    """

    def __init__(
        self, h: int, w: int, new_h: int, new_w: int, interp: int | Image.Resampling | None = None
    ) -> None:
        super().__init__()
        self.h, self.w = h, w
        self.new_h, self.new_w = new_h, new_w
        self.interp = Image.Resampling.BILINEAR if interp is None else interp

    def apply_image(
        self, img: np.ndarray, interp: int | Image.Resampling | None = None
    ) -> np.ndarray:
        """Resize (H, W) or (H, W, C).

        PIL resizes uint8, torch anything else it can interpolate: integers of other widths raise.
        """
        assert img.shape[:2] == (self.h, self.w), (
            f"made for an image of {self.h}x{self.w}, got one of shape {img.shape}"
        )
        resample = Image.Resampling(self.interp if interp is None else interp)
        resize = self._resize_bytes if img.dtype == np.uint8 else self._resize_floats
        return resize(img, resample)

    def _resize_bytes(self, img: np.ndarray, resample: Image.Resampling) -> np.ndarray:
        has_one_channel = img.shape[2:] == (1,)
        plane = Image.fromarray(img[..., 0] if has_one_channel else img)
        resized = np.asarray(plane.resize((self.new_w, self.new_h), resample))
        return resized[..., None] if has_one_channel else resized

    def _resize_floats(self, img: np.ndarray, resample: Image.Resampling) -> np.ndarray:
        mode = _TORCH_MODES[resample]
        # The copy is for torch, which takes neither read-only nor negatively strided arrays.
        planes = torch.from_numpy(np.array(img, order="C")).reshape(1, self.h, self.w, -1)
        resized = torch.nn.functional.interpolate(
            planes.permute(0, 3, 1, 2),
            size=(self.new_h, self.new_w),
            mode=mode,
            align_corners=None if mode == "nearest" else False,
        )
        return resized[0].permute(1, 2, 0).reshape(self.new_h, self.new_w, *img.shape[2:]).numpy()

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Scale (N, 2) points (x, y) in place."""
        coords[:] = coords * (self.new_w / self.w, self.new_h / self.h)
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resize a label map of uint8 or float to the nearest labels."""
        return self.apply_image(segmentation, interp=Image.Resampling.NEAREST)

    def inverse(self) -> ResizeTransform:
        """Back to (h, w)."""
        return ResizeTransform(self.new_h, self.new_w, self.h, self.w, self.interp)
