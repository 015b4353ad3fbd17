"""Augmentations of FAMix and of test protocols that Detectron2 lacks.

Images and labels are transformed together. Random augmentations use NumPy's global state, like
Detectron2's. `PadToSize` followed by `CenterCrop` gives the centred frames of test protocols.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
from detectron2.data import transforms as T
from PIL import ImageEnhance

from ..utils.errors import LangDGError

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB

_TRIES = 10  # attempts per image
_BICUBIC = PIL.Image.Resampling.BICUBIC
_ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


class RandomScale(T.Augmentation):
    """Resizes both sides by a random factor: images bicubic, labels nearest.

    Args:
        lowest: smallest factor, above 0; the factor is uniform in [lowest, highest].
        highest: largest factor.
    """

    def __init__(self, *, lowest: float, highest: float) -> None:
        super().__init__()
        if not 0 < lowest <= highest:
            raise LangDGError(
                f"RandomScale from {lowest} to {highest}; expected 0 < lowest <= highest"
            )
        self.lowest, self.highest = lowest, highest

    def get_transform(self, image: Image) -> T.Transform:
        factor = np.random.uniform(self.lowest, self.highest)
        height, width = image.shape[:2]
        scaled = (max(1, int(side * factor)) for side in (height, width))
        return T.ResizeTransform(height, width, *scaled, _BICUBIC)


class PadToSize(T.Augmentation):
    """Pads images that are smaller than a size equally on both sides.

    Args:
        size: minimum height and width in pixels.
        label_fill: value of the label's padding, usually the ignore label. Images are padded with
            black.
    """

    def __init__(self, *, size: Sequence[int], label_fill: int) -> None:
        super().__init__()
        self.size = tuple(size)
        self.label_fill = label_fill

    def get_transform(self, image: Image) -> T.Transform:
        # NOTE: the official code fills labels with 0, the train id of road, so the network learns
        # black borders as road.
        down, right = (
            max(0, least - side) for least, side in zip(self.size, image.shape[:2], strict=True)
        )
        top, left = down // 2, right // 2
        return T.PadTransform(left, top, right - left, down - top, seg_pad_value=self.label_fill)


class RandomCrop(T.RandomCrop):
    """Detectron2's random crop of a fixed size, but an error for smaller images.

    Detectron2 shrinks the crop instead. Batches of several sizes would then be padded, and patches
    of padded features would not match the patches whose classes were counted.

    Args:
        crop_size: height and width in pixels.
    """

    def __init__(self, *, crop_size: Sequence[int]) -> None:
        if len(crop_size) != 2 or not all(type(side) is int and side > 0 for side in crop_size):
            raise LangDGError(
                f"dataloader.crop_size is {list(crop_size)}, expected height and width in pixels "
                "as [768,768]"
            )
        super().__init__("absolute", tuple(crop_size))

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        height, width = self.crop_size
        if image_size[0] < height or image_size[1] < width:
            raise LangDGError(
                f"the image is {image_size[0]}x{image_size[1]} and cannot be cropped to "
                f"{height}x{width} (height x width): use a smaller dataloader.crop_size"
            )
        return height, width


class RandomCropOfClasses(RandomCrop):
    """Random crop of a fixed size that no class dominates, in up to ten attempts.

    Like Detectron2's `RandomCrop_CategoryAreaConstraint`, but an error for smaller images.

    Args:
        crop_size: height and width in pixels.
        max_share: maximum share of a class in the labelled pixels, in 0..1; 0.75 in most works on
            street scenes.
        ignore_label: value of pixels to ignore.
    """

    def __init__(self, *, crop_size: Sequence[int], max_share: float, ignore_label: int) -> None:
        super().__init__(crop_size=crop_size)
        if not 0 < max_share <= 1:
            raise LangDGError(f"max_share {max_share} of a class in a crop must be in 0..1")
        self.max_share = max_share
        self.ignore_label = ignore_label

    def get_transform(self, image: Image, sem_seg: npt.NDArray[np.uint8]) -> T.Transform:
        for _ in range(_TRIES):
            crop = super().get_transform(image)
            ids, counts = np.unique(crop.apply_segmentation(sem_seg), return_counts=True)
            counts = counts[ids != self.ignore_label]
            if len(counts) > 1 and counts.max() < self.max_share * counts.sum():
                break
        return crop


class ColorJitter(T.Augmentation):
    """Random brightness, contrast and saturation, applied in random order.

    Args:
        brightness: largest deviation b of the factor from 1, not negative; the factor is uniform
            in [max(0, 1 - b), 1 + b]. FAMix uses 0.8.
        contrast: like `brightness`.
        saturation: like `brightness`.
    """

    def __init__(self, *, brightness: float, contrast: float, saturation: float) -> None:
        super().__init__()
        self.deviations = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        if negative := [d for d in self.deviations.values() if d < 0]:
            raise LangDGError(f"ColorJitter deviations {negative} must not be negative")

    def get_transform(self, image: Image) -> "PixelTransform":
        deviations = np.array([*self.deviations.values()])
        drawn = np.random.uniform(np.maximum(0.0, 1.0 - deviations), 1.0 + deviations).tolist()
        factors = dict(zip(self.deviations, drawn, strict=True))
        order = np.random.permutation([*factors]).tolist()
        return PixelTransform(
            partial(change_colors, factors={name: factors[name] for name in order})
        )


class PhotometricDistortion(T.Augmentation):
    """Random brightness, contrast, saturation and hue as in SSD (Liu et al., ECCV 2016).

    Each is applied with probability 1/2: brightness adds -32 to 32 levels, contrast and saturation
    multiply by 0.5 to 1.5, and the hue rotates by up to 36 degrees. Contrast comes either second or
    last.
    """

    def get_transform(self, image: Image) -> "PixelTransform":
        brightness = np.random.uniform(-32, 32)
        contrast, saturation = np.random.uniform(0.5, 1.5, 2).tolist()
        hue = np.random.uniform(-36, 36)
        happen = np.random.randint(2, size=4)
        return PixelTransform(
            partial(
                distort_colors,
                brightness=brightness if happen[0] else 0.0,
                contrast=contrast if happen[1] else 1.0,
                saturation=saturation if happen[2] else 1.0,
                hue=hue if happen[3] else 0.0,
                contrast_last=bool(np.random.randint(2)),
            )
        )


def distort_colors(
    image: Image,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    contrast_last: bool,
) -> Image:
    """Change an image's colours, with values clipped to 0..255 after each step.

    Args:
        image: RGB.
        brightness: offset of all values.
        contrast: factor of all values.
        saturation: factor of the saturation.
        hue: rotation of the hue in degrees.
        contrast_last: whether contrast is applied after saturation and hue, not before.
    """
    pixels = (image.astype(np.float32) + brightness).clip(0, 255)
    if not contrast_last:
        pixels = (pixels * contrast).clip(0, 255)
    if saturation != 1 or hue:
        hsv = cv2.cvtColor(pixels / 255, cv2.COLOR_RGB2HSV)  # degrees, 0..1, 0..1
        hsv[..., 0] = (hsv[..., 0] + hue) % 360
        hsv[..., 1] = (hsv[..., 1] * saturation).clip(0, 1)
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    if contrast_last:
        pixels = (pixels * contrast).clip(0, 255)
    return pixels.round().astype(np.uint8)


class PixelTransform(T.Transform):
    """Changes pixel values by a function of the image; labels and coordinates do not change."""

    def __init__(self, change: Callable[[Image], Image]) -> None:
        super().__init__()
        self.change = change

    def apply_image(self, img: Image) -> Image:
        return self.change(img)

    def apply_segmentation(self, segmentation: Image) -> Image:
        return segmentation

    def apply_coords(self, coords: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return coords


def change_colors(image: Image, factors: Mapping[str, float]) -> Image:
    """Change brightness, contrast and saturation, in the order of the factors.

    Each blends the image with another, `factor * image + (1 - factor) * other`, clipped to 0..255.
    The other image is black, the mean grey, or the greyscale version. Results are truncated, not
    rounded, as in torchvision with Pillow images, which the official code uses.
    """
    picture = PIL.Image.fromarray(image)
    for name, factor in factors.items():
        picture = _ENHANCERS[name](picture).enhance(factor)
    return np.array(picture)  # writable


class ResizeToHeight(T.Augmentation):
    """Resizes to a height and keeps the aspect ratio: images bicubic, labels nearest.

    The width is rounded down. Images must be uint8, which Pillow resizes with antialiasing.

    Args:
        height: height in pixels.
    """

    def __init__(self, *, height: int) -> None:
        super().__init__()
        self.height = height

    def get_transform(self, image: Image) -> T.Transform:
        height, width = image.shape[:2]
        # Divide first, as in the official code; the other order may round differently.
        new_width = max(1, int(width / height * self.height))
        return T.ResizeTransform(height, width, self.height, new_width, _BICUBIC)


class CenterCrop(T.Augmentation):
    """Crops the centre; a side shorter than the crop does not change.

    Args:
        size: height and width of the crop in pixels.
    """

    def __init__(self, *, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def get_transform(self, image: Image) -> T.Transform:
        top, left = (
            max(0, _middle(side, wanted))
            for side, wanted in zip(image.shape[:2], self.size, strict=True)
        )
        height, width = self.size
        return T.CropTransform(left, top, width, height)  # slices end at the image border


class FamixCropOrPad(T.Augmentation):
    """The official code's frame of a fixed size: crops long sides and pads short ones off centre.

    NOTE: the authors pad a side that lacks `d` pixels by `d` at both ends, but place the crop as if
    the image had no padding. The image then starts 1.5 d inside the frame instead of 0.5 d, and its
    last 0.5 d pixels are lost (all of it if the side is shorter than a third of the frame). This is
    only needed to reproduce their scores.

    Args:
        size: height and width of the frame in pixels.
        label_fill: value of the label's padding. Images are padded with black.
    """

    def __init__(self, *, size: Sequence[int], label_fill: int) -> None:
        super().__init__()
        self.size = tuple(size)
        self.label_fill = label_fill

    def get_transform(self, image: Image) -> T.Transform:
        height, width = self.size
        top, above, below = _off_center(image.shape[0], height)
        left, before, after = _off_center(image.shape[1], width)
        return T.TransformList(
            [
                T.PadTransform(before, above, after, below, seg_pad_value=self.label_fill),
                T.CropTransform(left, top, width, height),
            ]
        )


def _middle(side: int, wanted: int) -> int:
    """Compute the start of a centred crop, rounding half to even as in torchvision."""
    return round((side - wanted) / 2)


def _off_center(side: int, wanted: int) -> tuple[int, int, int]:
    """Compute the start of the official crop in the padded side, and the padding at both ends."""
    start = _middle(side, wanted) - max(0, wanted - side)  # relative to the unpadded image
    before = max(0, -start)
    return start + before, before, max(0, start + wanted - side)
