"""Image augmentation of the recipe as Detectron2 does not have it: exact crop, colour jitter."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
from detectron2.data import transforms as T
from PIL import ImageEnhance

from ..utils.errors import LangDGError

Image = npt.NDArray[np.uint8]

_LEVELS = np.arange(1 << 8, dtype=np.float32)  # of an 8-bit channel, in Pillow's precision


class RandomCrop(T.RandomCrop):
    """Detectron2's random crop of a fixed size, which refuses images smaller than that.

    Detectron2 shrinks the crop instead; batches of several sizes are then padded, and patches of
    the padded features are no longer those whose classes were counted.

    Args:
        crop_size: height and width in pixels.
    """

    def __init__(self, *, crop_size: Sequence[int]) -> None:
        super().__init__("absolute", tuple(crop_size))

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        height, width = self.crop_size
        if image_size[0] < height or image_size[1] < width:
            raise LangDGError(
                f"the image is {image_size[0]}x{image_size[1]} and cannot be cropped to "
                f"{height}x{width} (height x width): use a smaller dataloader.crop_size"
            )
        return height, width


class ColorFactors(NamedTuple):
    """Factors of a colour change; 1 changes nothing, 0 gives black, uniform grey, or grey."""

    brightness: float
    contrast: float
    saturation: float


class ColorJitter(T.Augmentation):
    """Random brightness, contrast and saturation, applied in random order.

    Args:
        brightness: largest deviation b of the factor from 1; the factor is uniform in
            [max(0, 1 - b), 1 + b]. FAMix uses 0.8.
        contrast: likewise.
        saturation: likewise.

    Randomness: NumPy's global state, which Detectron2 seeds in every worker.
    """

    def __init__(self, *, brightness: float, contrast: float, saturation: float) -> None:
        super().__init__()
        deviations = ColorFactors(brightness, contrast, saturation)
        if negative := [d for d in deviations if d < 0]:
            raise LangDGError(f"ColorJitter deviations {negative} must not be negative")
        self.brightness, self.contrast, self.saturation = deviations
        self._deviations = np.array(deviations)

    def get_transform(self, image: Image) -> "ColorTransform":
        """Draw factors and order for one image."""
        lowest = np.maximum(0.0, 1.0 - self._deviations)
        factors = np.random.uniform(lowest, 1.0 + self._deviations)
        order = np.random.permutation(ColorFactors._fields).tolist()
        return ColorTransform(ColorFactors(*factors.tolist()), order)


class ColorTransform(T.Transform):
    """Change brightness, contrast and saturation of (H, W, 3) uint8 RGB images.

    Each mixes the image with another, `factor * image + (1 - factor) * other`, clipped to 0..255;
    the other one is black, the image's mean grey, or its greyscale version. Results are those of
    torchvision on Pillow's images, which the official code uses: cut to whole levels, not rounded.
    Labels and coordinates stay.

    Args:
        factors: how much to change.
        order: names of the factors in the order of application.
    """

    def __init__(self, factors: ColorFactors, order: Sequence[str]) -> None:
        super().__init__()
        self.factors = factors
        self.order = tuple(order)

    def apply_image(self, img: Image) -> Image:
        changes = {
            "brightness": change_brightness,
            "contrast": change_contrast,
            "saturation": change_saturation,
        }
        for name in self.order:
            img = changes[name](img, getattr(self.factors, name))
        return img

    def apply_segmentation(self, segmentation: Image) -> Image:
        return segmentation

    def apply_coords(self, coords: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return coords


def change_brightness(image: Image, factor: float) -> Image:
    """Mix with black."""
    return _mix_with_level(image, 0, factor)


def change_contrast(image: Image, factor: float) -> Image:
    """Mix with the mean of the image's greyscale version, rounded to a level."""
    mean = cv2.mean(np.asarray(PIL.Image.fromarray(image).convert("L")))[0]
    return _mix_with_level(image, int(mean + 0.5), factor)


def change_saturation(image: Image, factor: float) -> Image:
    """Mix with the image's greyscale version."""
    return np.asarray(ImageEnhance.Color(PIL.Image.fromarray(image)).enhance(factor))


def _mix_with_level(image: Image, level: int, factor: float) -> Image:
    """What Pillow's `blend` gives with a uniform image, in a third of the time."""
    values = level + np.float32(factor) * (_LEVELS - level)
    return np.asarray(cv2.LUT(image, values.clip(0, 255).astype(np.uint8)), dtype=np.uint8)
