"""Augmentations for semantic segmentation. Random draws come from NumPy's global generator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    PadTransform,
    Transform,
    TransformList,
    VFlipTransform,
)
from PIL import Image

from .augmentation import Augmentation
from .transform import ResizeTransform

_BILINEAR = Image.Resampling.BILINEAR


class RandomFlip(Augmentation):
    """A flip, horizontal by default, with probability `prob`."""

    def __init__(
        self, prob: float = 0.5, *, horizontal: bool = True, vertical: bool = False
    ) -> None:
        if horizontal == vertical:
            raise ValueError(
                f"one direction must be on, got {horizontal=} and {vertical=}; two flips do both"
            )
        self.prob = prob
        self.horizontal = horizontal
        self.vertical = vertical

    def get_transform(self, image: np.ndarray) -> Transform:
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        height, width = image.shape[:2]
        return HFlipTransform(width) if self.horizontal else VFlipTransform(height)


class Resize(Augmentation):
    """To a fixed `shape`: (height, width), or the side of a square."""

    def __init__(self, shape: int | Sequence[int], interp: int = _BILINEAR) -> None:
        new_height, new_width = (shape, shape) if isinstance(shape, int) else shape
        self.shape = new_height, new_width
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        return ResizeTransform(height, width, *self.shape, self.interp)


class ResizeShortestEdge(Augmentation):
    """Bring the shorter edge to a drawn length, the longer one to at most `max_size`.

    Args:
        short_edge_length: the length; or the [min, max] it is drawn from (`sample_style`
            "range", both included); or the lengths to choose from ("choice"). 0 does nothing.
    """

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = _BILINEAR,
    ) -> None:
        assert sample_style in ("range", "choice"), f"unknown sample_style {sample_style!r}"
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length, short_edge_length)
        self.short_edge_length = short_edge_length
        self.is_range = sample_style == "range"
        assert not self.is_range or len(self.short_edge_length) == 2, (
            f"a range has two ends, got short_edge_length={short_edge_length}"
        )
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
        height, width = image.shape[:2]
        new_size = self.get_output_shape(height, width, length, self.max_size)
        return ResizeTransform(height, width, *new_size, self.interp)

    @staticmethod
    def get_output_shape(
        oldh: int, oldw: int, short_edge_length: int, max_size: int
    ) -> tuple[int, int]:
        """(height, width) after the resize, each rounded half up."""
        longest = short_edge_length / min(oldh, oldw) * max(oldh, oldw)
        shrink = min(1.0, max_size / longest)
        short, long = int(short_edge_length * shrink + 0.5), int(longest * shrink + 0.5)
        return (short, long) if oldh < oldw else (long, short)


class ResizeScale(Augmentation):
    """Fit the image into a target box that is scaled at random; the aspect ratio is kept.

    Args:
        min_scale, max_scale: range of the factor on the target box.
        target_height, target_width: that box at factor 1, in pixels.
    """

    def __init__(
        self,
        min_scale: float,
        max_scale: float,
        target_height: int,
        target_width: int,
        interp: int = _BILINEAR,
    ) -> None:
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.target_height = target_height
        self.target_width = target_width
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        factor = np.random.uniform(self.min_scale, self.max_scale)
        height, width = image.shape[:2]
        fit = min(self.target_height * factor / height, self.target_width * factor / width)
        new_height, new_width = round(height * fit), round(width * fit)
        return ResizeTransform(height, width, new_height, new_width, self.interp)


class FixedSizeCrop(Augmentation):
    """A random crop where the image is larger than `crop_size`, padding where it is smaller.

    Args:
        crop_size: (height, width).
        pad: fill up at the right and bottom; without it a smaller image stays smaller.
        pad_value: fills the image.
        seg_pad_value: fills the label map.
    """

    def __init__(
        self,
        crop_size: Sequence[int],
        pad: bool = True,
        pad_value: float = 128.0,
        seg_pad_value: int = 255,
    ) -> None:
        self.crop_size = crop_size
        self.pad = pad
        self.pad_value = pad_value
        self.seg_pad_value = seg_pad_value

    def get_transform(self, image: np.ndarray) -> TransformList:
        (height, width), (crop_h, crop_w) = image.shape[:2], self.crop_size
        # One draw for both axes: crops lie on the diagonal of the image.
        place = np.random.uniform(0.0, 1.0)
        y0, x0 = (int(np.round(max(a, 0) * place)) for a in (height - crop_h, width - crop_w))
        steps = [CropTransform(x0, y0, crop_w, crop_h, width, height)]
        if self.pad:
            missing = max(crop_w - width, 0), max(crop_h - height, 0)
            kept = min(crop_w, width), min(crop_h, height)
            values = self.pad_value, self.seg_pad_value
            steps.append(PadTransform(0, 0, *missing, *kept, *values))
        return TransformList(steps)


class RandomCrop(Augmentation):
    """A crop at a random place.

    Args:
        crop_type: how `crop_size` is meant.
            "absolute": (height, width) in pixels, at most the image's.
            "absolute_range": (min, max) pixels; both sides are drawn from it, at most the image's.
            "relative": shares of the image's (height, width), in (0, 1].
            "relative_range": the smallest such shares; both are drawn up to 1.
    """

    def __init__(self, crop_type: str, crop_size: Sequence[Any]) -> None:
        kinds = ("relative_range", "relative", "absolute", "absolute_range")
        assert crop_type in kinds, f"crop_type {crop_type!r} is not one of {kinds}"
        self.crop_type = crop_type
        self.crop_size = crop_size

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_h, crop_w = self.get_crop_size((height, width))
        assert max(crop_h - height, crop_w - width) <= 0, (
            f"{self} asks for {crop_h}x{crop_w} of an image of {height}x{width}"
        )
        y0 = np.random.randint(height - crop_h + 1)
        x0 = np.random.randint(width - crop_w + 1)
        return CropTransform(x0, y0, crop_w, crop_h)

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a crop in pixels, drawn anew where it is random."""
        if self.crop_type == "absolute":
            crop_h, crop_w = np.minimum(self.crop_size, image_size).tolist()
        elif self.crop_type == "absolute_range":
            low, high = self.crop_size
            assert low <= high, f"crop_size {self.crop_size} is not (min, max)"
            crop_h, crop_w = (
                np.random.randint(min(side, low), min(side, high) + 1) for side in image_size
            )
        else:
            shares = np.asarray(self.crop_size, dtype=float)
            if self.crop_type == "relative_range":
                smallest = shares.astype(np.float32)
                shares = smallest + np.random.rand(2) * (1 - smallest)
            crop_h, crop_w = (np.array(image_size) * shares + 0.5).astype(int).tolist()
        return crop_h, crop_w


class RandomCrop_CategoryAreaConstraint(Augmentation):
    """A random crop that no class fills too far, as good as ten tries allow.

    Args:
        crop_type, crop_size: see `RandomCrop`.
        single_category_max_area: largest share of one class in the labelled pixels, which must be
            of two classes at least; 1.0 takes any crop.
        ignored_category: a label that does not count as a class.
    """

    def __init__(
        self,
        crop_type: str,
        crop_size: Sequence[Any],
        single_category_max_area: float = 1.0,
        ignored_category: int | None = None,
    ) -> None:
        self.crop_aug = RandomCrop(crop_type, crop_size)
        self.crop_type = crop_type
        self.crop_size = crop_size
        self.single_category_max_area = single_category_max_area
        self.ignored_category = ignored_category

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> Transform:
        crop = self.crop_aug.get_transform(image)
        for _ in range(9):
            if self._is_mixed(crop.apply_segmentation(sem_seg)):
                break
            crop = self.crop_aug.get_transform(image)
        return crop

    def _is_mixed(self, labels: np.ndarray) -> bool:
        if self.single_category_max_area >= 1.0:
            return True
        present, areas = np.unique(labels, return_counts=True)
        if self.ignored_category is not None:
            areas = areas[present != self.ignored_category]
        return len(areas) > 1 and areas.max() < areas.sum() * self.single_category_max_area


class _RandomBlend(Augmentation):
    """Blend with another image; the weight of the input is uniform in [min, max]."""

    def __init__(self, intensity_min: float, intensity_max: float) -> None:
        self.intensity_min = intensity_min
        self.intensity_max = intensity_max

    def get_transform(self, image: np.ndarray) -> Transform:
        weight = np.random.uniform(self.intensity_min, self.intensity_max)
        return BlendTransform(self._other(image), src_weight=1 - weight, dst_weight=weight)

    def _other(self, image: np.ndarray) -> Any:
        """What to blend with: an array or a number."""
        raise NotImplementedError


class RandomContrast(_RandomBlend):
    """Blend with the mean of the image: an intensity below 1 lowers the contrast."""

    def _other(self, image: np.ndarray) -> Any:
        return image.mean()


class RandomBrightness(_RandomBlend):
    """Blend with black: an intensity below 1 darkens."""

    def _other(self, image: np.ndarray) -> Any:
        return 0


class RandomSaturation(_RandomBlend):
    """Blend with the gray version of an RGB image: an intensity below 1 fades the colours."""

    def _other(self, image: np.ndarray) -> Any:
        assert image.shape[-1] == 3, f"saturation is defined for RGB, got shape {image.shape}"
        return image.dot([0.299, 0.587, 0.114])[..., None]
