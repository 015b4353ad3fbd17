"""Corner arrays of simple shapes for `mesh.polygons`."""

from collections.abc import Sequence

import numpy as np


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> np.ndarray:
    """Return the sides (6, 4, 3) of an axis-aligned box: left, right, bottom, top, back, front."""
    corners = np.array([[i, j, k] for i in x for j in y for k in z], np.float32)
    order = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
    return corners[np.array(order)]


def prism(
    profile: Sequence[tuple[float, float]], half_widths: float | Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Extrude a side view to both sides.

    Args:
        profile: k points (z, y) around the outline.
        half_widths: half the width (x) at each point, or one value for all.

    Returns:
        The sides (2, k, 3), left first, and the strips (k, 4, 3) between them; strip i connects
        points i and i + 1.
    """
    outline = np.asarray(profile, np.float32)
    half = np.broadcast_to(np.asarray(half_widths, np.float32), len(outline))
    right = np.stack([half, outline[:, 1], outline[:, 0]], axis=1)
    left = right * np.array([-1, 1, 1], np.float32)
    after_left, after_right = np.roll(left, -1, axis=0), np.roll(right, -1, axis=0)
    return np.stack([left, right]), np.stack([left, after_left, after_right, right], axis=1)


def circle(radius: float, corners: int, *, center: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Return a regular polygon in the plane, (corners, 2)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius + np.asarray(center)
