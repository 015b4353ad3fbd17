"""Image augmentation of the recipe as Detectron2 does not have it: exact crop, colour jitter."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import transforms as T

Image = npt.NDArray[np.uint8]

_LEVELS = np.arange(1 << 8, dtype=np.float64)  # of an 8-bit channel


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
            raise ValueError(
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
            raise ValueError(f"ColorJitter deviations {negative} must not be negative")
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
    the other one is black, the image's mean grey, or its greyscale version (as in torchvision).
    Labels and coordinates stay.

    NOTE: results are rounded. The official code goes through PIL, which truncates and rounds the
    mean grey: up to one level less.

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
    return _map_levels(image, factor * _LEVELS)


def change_contrast(image: Image, factor: float) -> Image:
    """Mix with the mean of the image's greyscale version."""
    mean = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()
    return _map_levels(image, factor * _LEVELS + (1.0 - factor) * mean)


def change_saturation(image: Image, factor: float) -> Image:
    """Mix with the image's greyscale version."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, factor, gray, 1.0 - factor, 0.0), dtype=np.uint8)


def _map_levels(image: Image, values: npt.NDArray[np.float64]) -> Image:
    table = np.clip(values.round(), 0, _LEVELS[-1]).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)
