"""Palettes of classes and values, including one for colour-blind viewers."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import Metadata

from ..structures import CITYSCAPES_19, LabelSpace
from ..utils.arguments import PALETTES
from ..utils.errors import LangDGError, shortened
from .sem_seg import Image

_MOST_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours for pictures.

    Attributes:
        names: class names.
        colors: class colours, RGB in 0..255.
        value_map: OpenCV's id of a perceptually uniform colour map, dark for 0, bright for 1.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    value_map: int

    @property
    def metadata(self) -> Metadata:
        """Names and colours for Detectron2's `Visualizer` and `draw_sem_seg`."""
        return Metadata(stuff_classes=list(self.names), stuff_colors=list(self.colors))

    def paint_classes(self, classes: npt.NDArray[np.uint8]) -> Image:
        """Paint train ids (H, W) uint8 as (H, W, 3) uint8 RGB; black for no class."""
        colors = np.zeros((_MOST_CLASSES, 3), np.uint8)
        colors[: len(self.colors)] = self.colors
        return colors[classes]

    def paint_values(self, values: npt.NDArray[np.floating]) -> Image:
        """Paint values (H, W), clipped to 0..1, as (H, W, 3) uint8 RGB."""
        steps = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
        return cv2.cvtColor(cv2.applyColorMap(steps, self.value_map), cv2.COLOR_BGR2RGB)


# NOTE: close to the colours of the benchmark, but safe for colour-blind viewers. Distances in
# CIELAB are at least 17 between any two colours, at least 24 between those of large areas (road,
# building, wall, vegetation, sky), and at least 10 between these, blended with the greys of
# asphalt, and the grey. The ten most frequent classes differ by at least 15 in CIEDE2000. This
# holds for normal vision and protanopia, deuteranopia and tritanopia as simulated by Machado et al.
# (IEEE TVCG, 2009).
_COLOR_BLIND_SAFE = (
    (132, 66, 118),  # road
    (255, 126, 255),  # sidewalk
    (16, 15, 17),  # building
    (186, 140, 195),  # wall
    (127, 185, 176),  # fence
    (222, 191, 129),  # pole
    (249, 171, 33),  # traffic light
    (243, 242, 32),  # traffic sign
    (109, 151, 9),  # vegetation
    (149, 255, 217),  # terrain
    (75, 111, 196),  # sky
    (180, 0, 42),  # person
    (252, 54, 88),  # rider
    (2, 0, 117),  # car
    (49, 0, 69),  # truck
    (8, 64, 130),  # bus
    (62, 65, 10),  # train
    (1, 0, 231),  # motorcycle
    (137, 29, 62),  # bicycle
)


def palettes_for(classes: LabelSpace) -> tuple[str, ...]:
    """Return the names in `PALETTES` that are available for these classes."""
    return PALETTES if classes.names == CITYSCAPES_19.names else PALETTES[:1]


def palette_named(name: str, classes: LabelSpace) -> Palette:
    """Return a palette by name.

    Args:
        name: "classes" for the colours of the classes; "colorblind" for colours that are safe for
            colour-blind viewers (Cityscapes classes only).
        classes: classes to paint.
    """
    if name == "classes":
        return Palette(names=classes.names, colors=classes.colors, value_map=cv2.COLORMAP_VIRIDIS)
    if name != "colorblind":
        raise LangDGError(f"palette '{name}', expected one of {', '.join(PALETTES)}")
    if name not in palettes_for(classes):
        raise LangDGError(
            "palette 'colorblind' is only for the Cityscapes classes; choose palette 'classes' "
            f"for {shortened(classes.names)}"
        )
    return Palette(names=classes.names, colors=_COLOR_BLIND_SAFE, value_map=cv2.COLORMAP_CIVIDIS)
