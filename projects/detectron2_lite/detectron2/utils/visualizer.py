"""Drawing label maps on images with matplotlib, off screen."""

from __future__ import annotations

import colorsys
from enum import Enum, unique
from typing import Any

import cv2
import matplotlib.colors as mplc
import numpy as np
import pycocotools.mask as mask_util
import torch
from detectron2.data.catalog import Metadata, MetadataCatalog
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from .colormap import random_color

__all__ = ["ColorMode", "VisImage", "Visualizer"]

_LABELLED_AREA = 120_000  # pixels from which a part of an area gets its own text
_OFF_WHITE = (1.0, 1.0, 240 / 255)


@unique
class ColorMode(Enum):
    """How instances are coloured; label maps look the same in all modes."""

    IMAGE = 0
    SEGMENTATION = 1
    IMAGE_BW = 2


class VisImage:
    """A canvas that shows an image and takes matplotlib's artists on `ax`.

    Args:
        img: (H, W, 3) RGB in [0, 255].
        scale: size of the canvas relative to the image; coordinates stay those of the image.
    """

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        self.img = img
        self.scale = scale
        self.height, self.width = img.shape[:2]
        self.fig = Figure(frameon=False)
        self.dpi = self.fig.get_dpi()
        # matplotlib cuts sizes off to whole pixels: stay a little above
        pixels = (side * scale + 0.01 for side in (self.width, self.height))
        self.fig.set_size_inches(*(side / self.dpi for side in pixels))
        self.canvas = FigureCanvasAgg(self.fig)
        self.ax = self.fig.add_axes((0.0, 0.0, 1.0, 1.0))
        self.ax.axis("off")
        self.reset_image(img)

    def reset_image(self, img: np.ndarray) -> None:
        """Put another image of the same size in the background."""
        self.show(img.astype(np.uint8), interpolation="nearest")

    def show(self, img: np.ndarray, **kwargs: Any) -> None:
        """Lay an image, RGB or RGBA, over the whole canvas."""
        self.ax.imshow(img, extent=(0, self.width, self.height, 0), **kwargs)

    def save(self, filepath: str) -> None:
        """Write an image file in the format its extension names."""
        self.fig.savefig(filepath)

    def get_image(self) -> np.ndarray:
        """The canvas as (H * scale, W * scale, 3) uint8, RGB."""
        self.canvas.draw()
        return np.array(self.canvas.buffer_rgba())[..., :3]


class Visualizer:
    """Draws on a copy of an image; every `draw_` method returns the `VisImage` so far.

    Args:
        img_rgb: (H, W, 3) RGB in [0, 255].
        metadata: `stuff_classes` and `stuff_colors` (RGB in [0, 255]) of the labels.
        scale: size of the result relative to the image.
        instance_mode: kept for callers that set it.
        font_size_scale: factor on the size of texts.
    """

    def __init__(
        self,
        img_rgb: np.ndarray,
        metadata: Metadata | None = None,
        scale: float = 1.0,
        instance_mode: ColorMode = ColorMode.IMAGE,
        font_size_scale: float = 1.0,
    ) -> None:
        self.img = np.clip(img_rgb, 0, 255).astype(np.uint8)
        self.metadata = MetadataCatalog.get("__nonexist__") if metadata is None else metadata
        self.output = VisImage(self.img, scale=scale)
        side = np.sqrt(self.output.height * self.output.width)
        self._default_font_size = max(side // 90, 10 // scale) * font_size_scale
        self._instance_mode = instance_mode

    def get_output(self) -> VisImage:
        """The canvas with all that was drawn."""
        return self.output

    def draw_sem_seg(
        self,
        sem_seg: torch.Tensor | np.ndarray,
        area_threshold: float | None = None,
        alpha: float = 0.8,
        draw_text: bool = True,
        edge_color: Any = _OFF_WHITE,
    ) -> VisImage:
        """Draw a label map, the most frequent label first.

        Args:
            sem_seg: (H, W) of integers; labels without a class name, such as 255, are left out.
            area_threshold: parts with fewer pixels are left out.
            alpha: opacity in [0, 1].
            draw_text: write the class names.
            edge_color: of the outlines.
        """
        labels, areas = np.unique(np.asarray(sem_seg), return_counts=True)
        names = self.metadata.stuff_classes
        colors = self.metadata.get("stuff_colors", ())
        for label in labels[np.argsort(-areas)].tolist():
            if label >= len(names):
                continue
            self.draw_binary_mask(
                np.asarray(sem_seg) == label,
                color=np.divide(colors[label], 255) if label < len(colors) else None,
                edge_color=edge_color,
                text=names[label] if draw_text else None,
                alpha=alpha,
                area_threshold=area_threshold,
            )
        return self.output

    def draw_binary_mask(
        self,
        binary_mask: np.ndarray,
        color: Any = None,
        *,
        edge_color: Any = None,
        text: str | None = None,
        alpha: float = 0.5,
        area_threshold: float | None = 10,
    ) -> VisImage:
        """Draw an area: outlined polygons, or plain pixels where it has holes.

        Args:
            binary_mask: (H, W), nonzero inside.
            color: any colour of matplotlib; random if None.
            edge_color: of the polygons' outlines; None as in `draw_polygon`.
            text: written on the largest part of the area, and on other very large ones.
            alpha: opacity in [0, 1].
            area_threshold: polygons with fewer pixels are left out, and the text if all are.
        """
        mask = np.ascontiguousarray(binary_mask, dtype=np.uint8)
        color = mplc.to_rgb(tuple(random_color(rgb=True, maximum=1)) if color is None else color)
        polygons, has_holes = _outlines(mask)
        if has_holes:
            rgba = np.empty((*mask.shape, 4), dtype=np.float32)
            rgba[..., :3] = color
            rgba[..., 3] = (mask == 1) * alpha
            self.output.show(rgba)
        else:
            polygons = [p for p in polygons if _area(p, mask.shape) >= (area_threshold or 0)]
            for polygon in polygons:
                self.draw_polygon(polygon, color=color, edge_color=edge_color, alpha=alpha)
        if text is not None and (has_holes or polygons):
            self._draw_text_in_mask(mask, text, _with_lightness(color, 1.7))
        return self.output

    def draw_polygon(
        self, segment: np.ndarray, color: Any, edge_color: Any = None, alpha: float = 0.5
    ) -> VisImage:
        """Draw a filled polygon.

        Args:
            segment: (N, 2) points (x, y) in pixels of the image.
            color: any colour of matplotlib.
            edge_color: of the outline; None takes `color`, darkened if it would not stand out.
            alpha: opacity of the inside, in [0, 1].
        """
        if edge_color is None:
            edge_color = _with_lightness(color, 0.3) if alpha > 0.8 else color
        outline = max(self._default_font_size // 15 * self.output.scale, 1)
        self.output.ax.add_patch(
            Polygon(
                segment,
                facecolor=(*mplc.to_rgb(color), alpha),
                edgecolor=mplc.to_rgb(edge_color),
                linewidth=outline,
            )
        )
        return self.output

    def draw_text(
        self,
        text: str,
        position: tuple[float, float],
        *,
        font_size: float | None = None,
        color: Any = "g",
        horizontal_alignment: str = "center",
        rotation: float = 0,
    ) -> VisImage:
        """Write on a dark box.

        Args:
            position: (x, y) of the upper edge, in pixels of the image.
            font_size: in points; None takes one that suits the image.
            color: any colour of matplotlib; dark ones are lightened.
            horizontal_alignment: which part of the text is at x: "left", "center" or "right".
            rotation: in degrees, counter-clockwise.
        """
        rgb = np.maximum(mplc.to_rgb(color), 0.2)
        rgb[rgb.argmax()] = max(0.8, rgb.max())
        self.output.ax.text(
            *position,
            text,
            size=(font_size or self._default_font_size) * self.output.scale,
            family="sans-serif",
            color=rgb,
            horizontalalignment=horizontal_alignment,
            verticalalignment="top",
            rotation=rotation,
            zorder=10,
            bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.8, "pad": 0.7},
        )
        return self.output

    def _draw_text_in_mask(self, mask: np.ndarray, text: str, color: Any) -> None:
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        for part in range(1, count):
            if part == 1 + areas.argmax() or areas[part - 1] > _LABELLED_AREA:
                # The median stays inside of most shapes, where the mean may not.
                y, x = np.median(np.nonzero(parts == part), axis=1)
                self.draw_text(text, (x, y), color=color)


def _outlines(mask: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """The (N, 2) outlines of an area, and whether some of them are outlines of holes."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[-2:]
    has_holes = hierarchy is not None and bool((hierarchy[..., 3] >= 0).any())
    # OpenCV gives indices of pixels; their centres lie half a pixel further.
    return [c.reshape(-1, 2) + 0.5 for c in contours if len(c) >= 3], has_holes


def _area(polygon: np.ndarray, size: tuple[int, ...]) -> int:
    return mask_util.area(mask_util.frPyObjects([polygon.ravel()], *size))[0]


def _with_lightness(color: Any, factor: float) -> tuple[float, float, float]:
    hue, lightness, saturation = colorsys.rgb_to_hls(*mplc.to_rgb(color))
    return mplc.to_rgb(colorsys.hls_to_rgb(hue, min(lightness * factor, 1.0), saturation))
