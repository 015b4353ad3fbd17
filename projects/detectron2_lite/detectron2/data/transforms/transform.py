"""Resizing by PIL, where fvcore's own is by torch and slow for bytes."""

import numpy as np
from fvcore.transforms.transform import ScaleTransform
from PIL import Image


class ResizeTransform(ScaleTransform):
    """Resize from (h, w) to (new_h, new_w), by a filter of PIL; label maps to the nearest pixel."""

    def __init__(self, h: int, w: int, new_h: int, new_w: int, interp: int | None = None) -> None:
        """The filter is bilinear by default."""
        super().__init__(h, w, new_h, new_w, Image.BILINEAR if interp is None else interp)

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize (H, W) or (H, W, C), uint8 or float."""
        resample = Image.Resampling(self.interp if interp is None else interp)
        if img.dtype.kind == "f":
            return super().apply_image(img, resample.name.lower())  # torch has the same names
        if img.dtype != np.uint8:
            raise NotImplementedError(f"uint8 and floats can be resized, got {img.dtype}")
        assert img.shape[:2] == (self.h, self.w), f"expected {self.h}x{self.w}, got {img.shape}"
        has_one_channel = img.shape[2:] == (1,)
        plane = Image.fromarray(img[..., 0] if has_one_channel else img)
        resized = np.asarray(plane.resize((self.new_w, self.new_h), resample))
        return resized[..., None] if has_one_channel else resized

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resize a label map."""
        return self.apply_image(segmentation, Image.NEAREST)

    def inverse(self) -> "ResizeTransform":
        """The way back."""
        old, new = (self.h, self.w), (self.new_h, self.new_w)
        return ResizeTransform(*new, *old, self.interp)
