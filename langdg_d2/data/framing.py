"""How test protocols resize and cut images: nothing random, image and label alike.

A centred frame of a fixed size is `PadToSize` followed by `CenterCrop`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from detectron2.data import transforms as T
from PIL import Image


class ResizeToHeight(T.Augmentation):
    """Resize to a height, keeping the aspect: images bicubic, labels to the nearest pixel.

    The width is rounded down. Images and labels must be uint8, which PIL resizes with
    antialiasing where the image shrinks.

    Args:
        height: in pixels.
    """

    def __init__(self, *, height: int) -> None:
        super().__init__()
        self.height = height

    def get_transform(self, image: npt.NDArray[np.uint8]) -> T.Transform:
        """The resize of one image."""
        height, width = image.shape[:2]
        # Divided first, as the authors do: the other order can round to another pixel.
        new_width = max(1, int(width / height * self.height))
        return T.ResizeTransform(height, width, self.height, new_width, Image.Resampling.BICUBIC)


class CenterCrop(T.Augmentation):
    """Cut out the middle; a side that is shorter than the crop stays as it is.

    Args:
        size: height and width of the crop in pixels.
    """

    def __init__(self, *, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def get_transform(self, image: npt.NDArray[np.uint8]) -> T.Transform:
        """The crop of one image."""
        top, left = (
            _middle(side, wanted) if side > wanted else 0
            for side, wanted in zip(image.shape[:2], self.size, strict=True)
        )
        height, width = self.size
        return T.CropTransform(left, top, width, height)  # slices end where the image does


class FamixCropOrPad(T.Augmentation):
    """The authors' frame of a fixed size: a long side is cut, a short one padded off centre.

    NOTE: the authors pad a side that lacks `d` pixels by `d` at both ends, but place the crop as
    if the image had no border. The image then starts 1.5 d inside the frame instead of 0.5 d, and
    its last 0.5 d pixels are lost (all of it where the side is below a third of the frame).
    Needed for their figures only.

    Args:
        size: height and width of the frame in pixels.
        label_fill: what padding is in the label. Images get black.
    """

    def __init__(self, *, size: Sequence[int], label_fill: int) -> None:
        super().__init__()
        self.size = tuple(size)
        self.label_fill = label_fill

    def get_transform(self, image: npt.NDArray[np.uint8]) -> T.Transform:
        """The border of one image, and the crop of the image with its border."""
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
    """Where a centred crop starts, as torchvision and the authors round it: halves to even."""
    return round((side - wanted) / 2)


def _off_center(side: int, wanted: int) -> tuple[int, int, int]:
    """Start of the authors' crop in the padded side, and the padding before and after it."""
    start = _middle(side, wanted) - max(0, wanted - side)  # in the image, negative in the border
    before = max(0, -start)
    return start + before, before, max(0, start + wanted - side)
