"""Colours of classes and of values, also for colour-blind eyes."""

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
        names: of the classes.
        colors: of the classes, RGB in 0..255.
        value_map: OpenCV's id of a perceptually uniform colour map, dark for 0, bright for 1.
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


# NOTE: not the benchmark's colours, but close to them. In CIELAB any two are at least 17 apart,
# those of large areas (road, building, wall, vegetation, sky) at least 24, and these, laid over the
# greys of asphalt, at least 10 from the grey: for normal vision and for protanopia, deuteranopia
# and tritanopia as simulated by Machado et al. (IEEE TVCG, 2009).
_COLOR_BLIND_SAFE = (
    (108, 53, 111),  # road
    (226, 167, 255),  # sidewalk
    (41, 28, 15),  # building
    (159, 123, 163),  # wall
    (202, 146, 159),  # fence
    (192, 180, 86),  # pole
    (237, 165, 5),  # traffic light
    (245, 243, 44),  # traffic sign
    (75, 122, 11),  # vegetation
    (91, 229, 149),  # terrain
    (92, 135, 215),  # sky
    (180, 8, 60),  # person
    (248, 70, 94),  # rider
    (35, 11, 111),  # car
    (68, 0, 78),  # truck
    (54, 90, 161),  # bus
    (57, 69, 31),  # train
    (65, 8, 234),  # motorcycle
    (199, 63, 108),  # bicycle
)


def palettes_for(classes: LabelSpace) -> tuple[str, ...]:
    """The names in `PALETTES` that exist for these classes."""
    return PALETTES if classes.names == CITYSCAPES_19.names else PALETTES[:1]


def palette_named(name: str, classes: LabelSpace) -> Palette:
    """The palette of this name.

    Args:
        name: "classes" for the classes' own colours; "colorblind" for colours of the Cityscapes
            classes that are safe for colour-blind eyes.
        classes: to paint.
    """
    if name == "classes":
        return Palette(names=classes.names, colors=classes.colors, value_map=cv2.COLORMAP_VIRIDIS)
    if name != "colorblind":
        raise LangDGError(f"palette '{name}', expected one of {', '.join(PALETTES)}")
    if name not in palettes_for(classes):
        raise LangDGError(
            "palette 'colorblind' is for the Cityscapes classes alone; choose palette 'classes' "
            f"for {shortened(classes.names)}"
        )
    return Palette(names=classes.names, colors=_COLOR_BLIND_SAFE, value_map=cv2.COLORMAP_CIVIDIS)
