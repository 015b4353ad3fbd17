"""Augmentations for semantic segmentation."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    Transform,
    VFlipTransform,
)
from PIL import Image

from .augmentation import Augmentation
from .transform import ResizeTransform


class RandomFlip(Augmentation):
    """A flip with a probability, horizontal by default."""

    def __init__(
        self, prob: float = 0.5, *, horizontal: bool = True, vertical: bool = False
    ) -> None:
        if horizontal == vertical:
            raise ValueError(f"one direction must be on, got {horizontal=} and {vertical=}")
        self.prob = prob
        self.horizontal = horizontal
        self.vertical = vertical

    def get_transform(self, image: np.ndarray) -> Transform:
        if np.random.uniform() >= self.prob:
            return NoOpTransform()
        height, width = image.shape[:2]
        return HFlipTransform(width) if self.horizontal else VFlipTransform(height)


class Resize(Augmentation):
    """To (height, width), or to a square of that side."""

    def __init__(self, shape: int | Sequence[int], interp: int = Image.BILINEAR) -> None:
        self.shape = (shape, shape) if isinstance(shape, int) else tuple(shape)
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        return ResizeTransform(*image.shape[:2], *self.shape, self.interp)


class ResizeShortestEdge(Augmentation):
    """Bring the shorter edge to a drawn length, the longer one to at most `max_size`."""

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = Image.BILINEAR,
    ) -> None:
        """The style "range" takes the ends of a range of lengths, "choice" takes all of them."""
        assert sample_style in ("range", "choice"), f"unknown sample_style {sample_style!r}"
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length, short_edge_length)
        self.is_range = sample_style == "range"
        assert not self.is_range or len(short_edge_length) == 2, (
            f"a range has two ends, got {short_edge_length=}"
        )
        self.short_edge_length = short_edge_length
        self.max_size = max_size
        self.sample_style = sample_style
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        lengths = self.short_edge_length
        if self.is_range:
            length = np.random.randint(lengths[0], lengths[1] + 1)
        else:
            length = np.random.choice(lengths)
        if length == 0:
            return NoOpTransform()
        size = image.shape[:2]
        new_size = self.get_output_shape(*size, length, self.max_size)
        return ResizeTransform(*size, *new_size, self.interp)

    @staticmethod
    def get_output_shape(
        oldh: int, oldw: int, short_edge_length: int, max_size: int
    ) -> tuple[int, int]:
        """(height, width) after the resize."""
        longest = short_edge_length / min(oldh, oldw) * max(oldh, oldw)
        shrink = min(1.0, max_size / longest)
        short, long = int(short_edge_length * shrink + 0.5), int(longest * shrink + 0.5)
        return (short, long) if oldh < oldw else (long, short)


class RandomCrop(Augmentation):
    """A crop at a random place."""

    def __init__(self, crop_type: str, crop_size: Sequence[Any]) -> None:
        """`crop_size` is in pixels or, if relative, shares of the image's (height, width)."""
        kinds = ("relative_range", "relative", "absolute", "absolute_range")
        assert crop_type in kinds, f"crop_type {crop_type!r} is not one of {kinds}"
        self.crop_type = crop_type
        self.crop_size = crop_size

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_h, crop_w = self.get_crop_size((height, width))
        y0 = np.random.randint(height - crop_h + 1)
        x0 = np.random.randint(width - crop_w + 1)
        return CropTransform(x0, y0, crop_w, crop_h)

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a crop in pixels."""
        size = np.array(image_size)
        if self.crop_type == "absolute":
            crop = np.minimum(self.crop_size, size)
        elif self.crop_type == "absolute_range":
            low, high = np.minimum.outer(self.crop_size, size)
            crop = np.array([np.random.randint(low[k], high[k] + 1) for k in range(2)])
        else:
            shares = np.asarray(self.crop_size, dtype=float)
            if self.crop_type == "relative_range":
                shares = shares + np.random.rand(2) * (1 - shares)
            crop = (size * shares + 0.5).astype(int)
        return tuple(crop.tolist())


class _RandomBlend(Augmentation):
    """Blend with another image, of which an intensity of 1 takes nothing."""

    def __init__(self, intensity_min: float, intensity_max: float) -> None:
        self.intensity_min = intensity_min
        self.intensity_max = intensity_max

    def get_transform(self, image: np.ndarray) -> Transform:
        weight = np.random.uniform(self.intensity_min, self.intensity_max)
        return BlendTransform(self._other(image), src_weight=1 - weight, dst_weight=weight)

    def _other(self, image: np.ndarray) -> Any:
        raise NotImplementedError


class RandomContrast(_RandomBlend):
    """Blend with the mean of the image."""

    def _other(self, image: np.ndarray) -> Any:
        return image.mean()


class RandomBrightness(_RandomBlend):
    """Blend with black."""

    def _other(self, image: np.ndarray) -> Any:
        return 0


class RandomSaturation(_RandomBlend):
    """Blend with the grey version of an RGB image."""

    def _other(self, image: np.ndarray) -> Any:
        assert image.shape[-1] == 3, f"saturation is defined for RGB, got shape {image.shape}"
        return image.dot([0.299, 0.587, 0.114])[..., None]
