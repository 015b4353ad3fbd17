"""Colours of classes and of values, also for colour-blind eyes."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import Metadata

from ..structures import CITYSCAPES_19

Image = npt.NDArray[np.uint8]

_MOST_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours for pictures.

    Attributes:
        names: of the classes.
        colors: of the classes, RGB in 0..255.
        value_map: OpenCV's number of a perceptually uniform colour map, dark for 0, bright for 1.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    value_map: int

    @property
    def metadata(self) -> Metadata:
        """Names and colours as Detectron2's `Visualizer` and `draw_sem_seg` want them."""
        return Metadata(stuff_classes=list(self.names), stuff_colors=list(self.colors))

    def paint_classes(self, classes: npt.NDArray[np.uint8]) -> Image:
        """Colours (H, W, 3) uint8 RGB of train ids (H, W) uint8; black where there is no class."""
        colors = np.zeros((_MOST_CLASSES, 3), np.uint8)
        colors[: len(self.colors)] = self.colors
        return colors[classes]

    def paint_values(self, values: npt.NDArray[np.floating]) -> Image:
        """Colours (H, W, 3) uint8 RGB of values (H, W) in 0..1; others are clipped to it."""
        steps = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
        return cv2.cvtColor(cv2.applyColorMap(steps, self.value_map), cv2.COLOR_BGR2RGB)


# NOTE: not colours of the benchmark. Found by maximising the least CIEDE2000 difference of any two
# as seen normally and in protanopia, deuteranopia and tritanopia as Machado et al. (IEEE TVCG,
# 2009) simulate them, and among such sets near to the benchmark's.
_COLOR_BLIND_SAFE = (
    (123, 120, 116),  # road
    (177, 137, 255),  # sidewalk
    (81, 79, 69),  # building
    (109, 116, 148),  # wall
    (214, 199, 255),  # fence
    (208, 227, 223),  # pole
    (214, 146, 6),  # traffic light
    (255, 223, 27),  # traffic sign
    (159, 166, 141),  # vegetation
    (166, 241, 176),  # terrain
    (128, 167, 175),  # sky
    (135, 55, 4),  # person
    (172, 106, 66),  # rider
    (13, 0, 189),  # car
    (0, 27, 83),  # truck
    (56, 76, 95),  # bus
    (47, 25, 35),  # train
    (88, 64, 254),  # motorcycle
    (75, 15, 0),  # bicycle
)

PALETTES = {
    "cityscapes": Palette(
        names=CITYSCAPES_19.names, colors=CITYSCAPES_19.colors, value_map=cv2.COLORMAP_VIRIDIS
    ),
    "colorblind": Palette(
        names=CITYSCAPES_19.names, colors=_COLOR_BLIND_SAFE, value_map=cv2.COLORMAP_CIVIDIS
    ),
}


def palette_named(name: str) -> Palette:
    """The palette of a name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PALETTES:
        raise ValueError(f"palette '{name}', expected one of {', '.join(PALETTES)}")
    return PALETTES[name]
