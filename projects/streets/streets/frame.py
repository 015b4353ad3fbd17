"""A rendered view before weather and display: radiance and the geometry for effects."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from streets.camera import Camera
from streets.light import Light
from streets.mesh import Color


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Inputs of an effect.

    Attributes:
        radiance: (H, W, 3) float32, linear RGB.
        emission: (H, W, 3) float32, radiance of lamps and lit windows.
        irradiance: (H, W, 3) float32, light on the visible surface.
        depth: (H, W) float32 metres along the optical axis; `raster.SKY_DEPTH` for sky.
        label_ids: (H, W) uint8 Cityscapes label ids.
        up: (H, W) float32, vertical component of the surface normal, 0 for sky.
        position: (3, H, W) float32 world positions.
        ground: (H, W) bool, mask of road, sidewalk and terrain.
        lamps: (N, 3) positions of street lamps.
        to_sun: (3,) unit vector toward the sun.
        camera: camera of the view.
        light: illumination of the look.
    """

    radiance: np.ndarray
    emission: np.ndarray
    irradiance: np.ndarray
    depth: np.ndarray
    label_ids: np.ndarray
    up: np.ndarray
    position: np.ndarray
    ground: np.ndarray
    lamps: np.ndarray
    to_sun: np.ndarray
    camera: Camera
    light: Light


def in_color(values: np.ndarray, color: Color = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Multiply (H, W) values by a colour, (H, W, 3) float32.

    The same as `values[..., None] * color`, but NumPy is slow along an axis of three.
    """
    values = np.asarray(values, np.float32)
    if color == (1.0, 1.0, 1.0):
        return cv2.merge((values, values, values))
    return cv2.merge([values * np.float32(c) for c in color])


# An effect returns the new radiance and leaves its arguments alone.
Effect = Callable[[Frame, np.random.Generator], np.ndarray]
# Works on the finished picture, (H, W, 3) uint8, as a camera's own software does.
DisplayEffect = Callable[[np.ndarray, np.random.Generator], np.ndarray]
