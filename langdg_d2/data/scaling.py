"""Random scaling of training images, as for SYNTHIA as source, and the padding it needs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from detectron2.data import transforms as T
from PIL import Image

from ..utils.errors import LangDGError


class RandomScale(T.Augmentation):
    """Resize by a random factor, both sides alike: images bicubic, labels to the nearest pixel.

    Args:
        lowest: smallest factor, above 0; the factor is uniform in [lowest, highest].
        highest: largest factor.

    Randomness: NumPy's global state, which Detectron2 seeds in every worker.

    Raises:
        LangDGError: if these are no such range.
    """

    def __init__(self, *, lowest: float, highest: float) -> None:
        super().__init__()
        if not 0 < lowest <= highest:
            raise LangDGError(
                f"RandomScale from {lowest} to {highest}; expected 0 < lowest <= highest"
            )
        self.lowest, self.highest = lowest, highest

    def get_transform(self, image: npt.NDArray[np.uint8]) -> T.Transform:
        """Draw a factor for one image."""
        factor = np.random.uniform(self.lowest, self.highest)
        height, width = image.shape[:2]
        scaled = (max(1, int(side * factor)) for side in (height, width))
        return T.ResizeTransform(height, width, *scaled, Image.Resampling.BICUBIC)


class PadToSize(T.Augmentation):
    """Border around images smaller than a size, alike on both sides; others stay as they are.

    Args:
        size: least height and width in pixels.
        label_fill: what labels are filled with: the ignore label. Images get black.
    """

    def __init__(self, *, size: Sequence[int], label_fill: int) -> None:
        super().__init__()
        self.size = tuple(size)
        self.label_fill = label_fill

    def get_transform(self, image: npt.NDArray[np.uint8]) -> T.Transform:
        """The border that an image lacks."""
        # NOTE: the official code fills labels with 0, the train id of road, which then is learnt.
        height, width = image.shape[:2]
        down, right = (
            max(0, least - side) for least, side in zip(self.size, (height, width), strict=True)
        )
        top, left = down // 2, right // 2
        return T.PadTransform(
            left,
            top,
            right - left,
            down - top,
            orig_w=width,
            orig_h=height,
            pad_value=0,
            seg_pad_value=self.label_fill,
        )
