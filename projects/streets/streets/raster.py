"""Rasterisation of ordered faces into an image of face numbers, and its geometry.

A single buffer of face numbers, sampled more finely than the image, is used for everything: colours
are averaged over the samples of a pixel (smooth edges), while labels and depth use one sample per
pixel (hard, exact edges).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from streets.camera import Camera
from streets.mesh import Mesh

NEAR = 0.5  # metres; closer geometry is clipped
SKY_DEPTH = 10_000.0  # metres; depth of pixels that no face covers
_SUBPIXEL_BITS = 4
_SMALLEST = 0.6  # samples; smaller polygons are skipped


@dataclass(frozen=True)
class Raster:
    """The visible faces.

    Attributes:
        fine: (H*s, W*s) int32, number of the visible face plus one, 0 for sky.
        ids: (H, W) int32, the samples of `fine` that represent the pixels.
        depth: (H, W) float32, metres along the optical axis, `SKY_DEPTH` for sky.
        slopes: x/z of the columns (W,) and y/z of the rows (H,) at those samples.
    """

    fine: np.ndarray
    ids: np.ndarray
    depth: np.ndarray
    slopes: tuple[np.ndarray, np.ndarray]

    def positions(self, camera: Camera) -> np.ndarray:
        """Return the world position of every pixel, (3, H, W) float32."""
        columns, rows = self.slopes
        r, depth = camera.rotation, self.depth
        axes = [
            depth * (columns * r[0, k] + (rows * r[1, k] + r[2, k])[:, None]) + camera.position[k]
            for k in range(3)
        ]
        return np.stack(axes)


def rasterize(mesh: Mesh, camera: Camera, supersampling: int) -> Raster:
    """Paint the faces in order.

    Args:
        mesh: faces sorted so that occluding ones come after occluded ones.
        camera: camera of the view.
        supersampling: number of samples per pixel along each axis.
    """
    points = camera.to_camera(mesh.vertices)
    starts = np.concatenate([[0], np.cumsum(mesh.sizes)[:-1]])
    fine = np.zeros((camera.height * supersampling, camera.width * supersampling), np.int32)
    _paint(fine, mesh, camera, points, starts, supersampling)
    sample = supersampling // 2
    ids = np.ascontiguousarray(fine[sample::supersampling, sample::supersampling])
    slopes = camera.ray_slopes((sample + 0.5) / supersampling)
    return Raster(fine, ids, _depth(mesh, camera, points, starts, ids, slopes), slopes)


def _paint(
    fine: np.ndarray,
    mesh: Mesh,
    camera: Camera,
    points: np.ndarray,
    starts: np.ndarray,
    supersampling: int,
) -> None:
    far_enough = np.minimum.reduceat(points[:, 2], starts) >= NEAR
    visible = np.maximum.reduceat(points[:, 2], starts) > NEAR
    first = mesh.vertices[starts[np.searchsorted(mesh.owner, np.arange(len(mesh.faces)))]]
    faces = mesh.faces
    turned_away = ((first - camera.position) * faces["facing"]).sum(1) > 0
    visible &= ~(turned_away & faces["closed"])[mesh.owner]

    scale = supersampling * (1 << _SUBPIXEL_BITS)
    shift = np.float32((1 << _SUBPIXEL_BITS) / 2)  # OpenCV has integers at pixel centres
    ahead = np.concatenate([points[:, :2], np.maximum(points[:, 2:], NEAR)], axis=1)
    pixels = camera.project(ahead) * scale - shift
    low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
    limit = np.array([fine.shape[1], fine.shape[0]], np.float32) * (1 << _SUBPIXEL_BITS)
    inside = ((high >= 0) & (low <= limit)).all(axis=1)
    inside &= (high - low).max(axis=1) > _SMALLEST * (1 << _SUBPIXEL_BITS)
    inside |= ~far_enough
    order = np.flatnonzero(visible & inside)
    if not len(order):
        return
    corners = np.rint(pixels).astype(np.int32)
    begins, ends = starts.tolist(), (starts + mesh.sizes).tolist()
    whole, owner = far_enough.tolist(), mesh.owner[order].tolist()
    contours: list[np.ndarray] = []
    for k, polygon in enumerate(order.tolist()):
        if whole[polygon]:
            contours.append(corners[begins[polygon] : ends[polygon]])
        else:
            cut = camera.project(clip_near(points[begins[polygon] : ends[polygon]]))
            contours.append(np.rint(cut * scale - shift).astype(np.int32))
        if k + 1 == len(owner) or owner[k + 1] != owner[k]:
            cv2.fillPoly(fine, contours, owner[k] + 1, cv2.LINE_8, _SUBPIXEL_BITS)
            contours = []


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """Return the part of a camera-frame polygon (k, 3) in front of the near plane."""
    kept: list[tuple[float, float, float]] = []
    corners = polygon.tolist()  # a few plain floats are faster than small arrays
    x, y, z = corners[-1]
    for x_next, y_next, z_next in corners:
        if (z >= NEAR) != (z_next >= NEAR):
            share = (NEAR - z) / (z_next - z)
            kept.append((x + share * (x_next - x), y + share * (y_next - y), NEAR))
        if z_next >= NEAR:
            kept.append((x_next, y_next, z_next))
        x, y, z = x_next, y_next, z_next
    return np.array(kept, np.float32)


def _depth(
    mesh: Mesh,
    camera: Camera,
    points: np.ndarray,
    starts: np.ndarray,
    ids: np.ndarray,
    slopes: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the depth of the visible faces' planes, where 1/z is affine in the image."""
    first_polygon = np.searchsorted(mesh.owner, np.arange(len(mesh.faces)))
    begins = starts[first_polygon]
    normal = mesh.faces["facing"] @ camera.rotation.T
    distance = (normal * points[begins]).sum(1)
    distance = np.where(np.abs(distance) < 1e-4, 1e-4, distance)
    nearest = np.maximum(np.minimum.reduceat(points[:, 2], begins), NEAR)
    farthest = np.maximum.reduceat(points[:, 2], begins)
    table = np.empty((len(mesh.faces) + 1, 5), np.float32)
    table[1:, :3] = normal / distance[:, None]
    table[1:, 3], table[1:, 4] = 1 / np.maximum(farthest, NEAR), 1 / nearest
    table[0] = 0, 0, 1 / SKY_DEPTH, 1 / SKY_DEPTH, 1 / SKY_DEPTH
    columns, rows = slopes
    a, b, c, low, high = (np.take(table[:, k], ids) for k in range(5))
    inverse = a * columns + b * rows[:, None] + c
    return 1 / np.clip(inverse, low, high)
