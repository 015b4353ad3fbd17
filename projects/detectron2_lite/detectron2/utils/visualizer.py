"""Drawing of label maps on images, by matplotlib and off screen."""

import colorsys
from typing import Any

import cv2
import matplotlib.colors as mplc
import numpy as np
import torch
from detectron2.data.catalog import Metadata
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from .colormap import random_color

__all__ = ["VisImage", "Visualizer"]

_LABELLED_AREA = 120_000  # pixels from which a further part of an area gets a text too
_OFF_WHITE = (1.0, 1.0, 240 / 255)


class VisImage:
    """A canvas `scale` times the size of an RGB image in [0, 255], with its coordinates."""

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        self.scale = scale
        self.height, self.width = img.shape[:2]
        # matplotlib cuts sizes off to whole pixels, so the figure is slightly larger
        self.fig = Figure(frameon=False)
        pixels = np.array([self.width, self.height]) * scale + 0.01
        self.fig.set_size_inches(pixels / self.fig.get_dpi())
        self.canvas = FigureCanvasAgg(self.fig)
        self.ax = self.fig.add_axes((0.0, 0.0, 1.0, 1.0))
        self.ax.axis("off")
        self.show(img.astype(np.uint8), interpolation="nearest")

    def show(self, img: np.ndarray, **kwargs: Any) -> None:
        """Lay an image, RGB or RGBA, over the canvas."""
        self.ax.imshow(img, extent=(0, self.width, self.height, 0), **kwargs)

    def save(self, filepath: str) -> None:
        """Write an image file."""
        self.fig.savefig(filepath)

    def get_image(self) -> np.ndarray:
        """The canvas, uint8 and RGB."""
        self.canvas.draw()
        return np.array(self.canvas.buffer_rgba())[..., :3]


class Visualizer:
    """Draws on a copy of an RGB image in [0, 255]."""

    def __init__(
        self, img_rgb: np.ndarray, metadata: Metadata | None = None, scale: float = 1.0
    ) -> None:
        self.img = np.clip(img_rgb, 0, 255).astype(np.uint8)
        self.metadata = metadata or Metadata()
        self.output = VisImage(self.img, scale=scale)
        side = np.sqrt(self.output.height * self.output.width)
        self._font_size = max(side // 90, 10 // scale)

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
        """Draw a label map (H, W), but for labels without a name and parts below the threshold."""
        labels, areas = np.unique(np.asarray(sem_seg), return_counts=True)
        names = self.metadata.stuff_classes
        colors = self.metadata.get("stuff_colors", ())
        for label in labels[np.argsort(-areas)].tolist():
            if label < len(names):
                self.draw_binary_mask(
                    np.asarray(sem_seg) == label,
                    np.divide(colors[label], 255) if label < len(colors) else None,
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
        """Draw an area (H, W): outlined polygons, or just its pixels where it has holes."""
        mask = np.ascontiguousarray(binary_mask, dtype=np.uint8)
        color = mplc.to_rgb(tuple(random_color(rgb=True, maximum=1)) if color is None else color)
        contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[-2:]
        smallest = area_threshold or 0
        polygons = [c for c in contours if len(c) > 2 and cv2.contourArea(c) >= smallest]
        if hierarchy is not None and (hierarchy[..., 3] >= 0).any():
            rgb = np.broadcast_to(color, (*mask.shape, 3))
            self.output.show(np.dstack([rgb, mask * alpha]))
        elif polygons:
            for polygon in polygons:
                self._draw_polygon(polygon, color, edge_color, alpha)
        else:
            return self.output
        if text is not None:
            self._draw_text(mask, text, color)
        return self.output

    def _draw_polygon(self, contour: np.ndarray, color: Any, edge_color: Any, alpha: float) -> None:
        if edge_color is None:
            edge_color = _with_lightness(color, 0.3) if alpha > 0.8 else color
        polygon = Polygon(
            contour.reshape(-1, 2) + 0.5,  # OpenCV's coordinates are those of pixels' centres
            facecolor=(*color, alpha),
            edgecolor=mplc.to_rgb(edge_color),
            linewidth=max(self._font_size // 15 * self.output.scale, 1),
        )
        self.output.ax.add_patch(polygon)

    def _draw_text(self, mask: np.ndarray, text: str, color: Any) -> None:
        color = np.maximum(_with_lightness(color, 1.7), 0.2)
        color[color.argmax()] = max(0.8, color.max())  # readable on the dark box
        _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        for part, area in enumerate(areas, start=1):
            if part == 1 + areas.argmax() or area > _LABELLED_AREA:
                # The median stays inside of most shapes, where the mean may not.
                y, x = np.median(np.nonzero(parts == part), axis=1)
                self.output.ax.text(
                    x,
                    y,
                    text,
                    size=self._font_size * self.output.scale,
                    family="sans-serif",
                    color=color,
                    horizontalalignment="center",
                    verticalalignment="top",
                    zorder=10,
                    bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.8, "pad": 0.7},
                )


def _with_lightness(color: Any, factor: float) -> tuple[float, float, float]:
    hue, lightness, saturation = colorsys.rgb_to_hls(*mplc.to_rgb(color))
    return mplc.to_rgb(colorsys.hls_to_rgb(hue, min(lightness * factor, 1.0), saturation))
