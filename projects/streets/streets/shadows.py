"""Shadows on the ground: cast shadows of the sun, and contact shadows."""

import cv2
import numpy as np

from streets.camera import Camera
from streets.items import Item
from streets.raster import NEAR, clip_near

_HULL = 8  # corners to which shadow outlines are padded
_TALL = 4.5  # metres; taller objects are only partly in a building's shadow
_BITS = 4
_SMALL_SHADOWS = 70.0  # metres up to which objects other than buildings cast shadows
_REACH = 150.0  # metres; farther shadows are not drawn


def shadow_outlines(items: tuple[Item, ...], to_sun: np.ndarray) -> np.ndarray:
    """Return convex shadow outlines (N, 8, 2) of items on the ground, with repeated corners."""
    shift = -to_sun[[0, 2]] / max(float(to_sun[1]), 0.1)
    outlines = np.empty((len(items), _HULL, 2), np.float32)
    for k, item in enumerate(items):
        shape = item.footprint if item.crown is None else item.crown
        both = np.concatenate([shape + shift * item.lift, shape + shift * item.top])
        hull = cv2.convexHull(both.astype(np.float32))[:, 0]
        if len(hull) > _HULL:
            hull = hull[:: -(-len(hull) // _HULL)]
        outlines[k] = hull[np.minimum(np.arange(_HULL), len(hull) - 1)]
    return outlines


def items_in_sun(
    items: tuple[Item, ...], casters: tuple[Item, ...], to_sun: np.ndarray
) -> np.ndarray:
    """Return the share of the sun on every item, (N,), which is less in a building's shadow.

    Args:
        items: lit items; buildings are always fully lit.
        casters: items that may cast a shadow, of which only buildings are used.
        to_sun: (3,) unit vector toward the sun.
    """
    blocks = np.array([item.block for item in items])
    tops = np.array([item.top for item in items])
    outlines = shadow_outlines(tuple(item for item in casters if item.block), to_sun)
    feet = np.stack([item.footprint.mean(axis=0) for item in items])
    edge = np.roll(outlines, -1, axis=1) - outlines
    turns = edge[..., 0] * (feet[:, None, None, 1] - outlines[..., 1])
    turns -= edge[..., 1] * (feet[:, None, None, 0] - outlines[..., 0])
    shaded = ((turns >= 0).all(-1) | (turns <= 0).all(-1)).any(axis=1) & ~blocks
    return np.where(shaded, np.where(tops > _TALL, 0.55, 0.12), 1.0).astype(np.float32)


def _fill(camera: Camera, outlines: np.ndarray, bases: np.ndarray, corners: int) -> np.ndarray:
    """Return a mask (H, W) uint8 of pixels in one of the outlines (N, corners, 2) on the ground."""
    mask = np.zeros((camera.height, camera.width), np.uint8)
    points = np.empty((len(outlines), corners, 3), np.float32)
    points[..., [0, 2]], points[..., 1] = outlines, bases[:, None]
    seen = camera.to_camera(points)
    nearest, farthest = seen[..., 2].min(1), seen[..., 2].max(1)
    ahead = np.concatenate([seen[..., :2], np.maximum(seen[..., 2:], NEAR)], axis=2)
    pixels = np.rint((camera.project(ahead) - 0.5) * (1 << _BITS)).astype(np.int32)
    for k in np.flatnonzero((farthest > NEAR) & (nearest < _REACH)).tolist():
        outline = pixels[k]
        if nearest[k] < NEAR:
            cut = camera.project(clip_near(seen[k]))
            outline = np.rint((cut - 0.5) * (1 << _BITS)).astype(np.int32)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, _BITS)
    return mask


def cast_shadows(items: tuple[Item, ...], to_sun: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the blocked share of the sun for pixels of the ground, (H, W) float32 in 0..1."""
    eye = camera.position
    casters = tuple(
        item
        for item in items
        if item.block or (item.top > 0 and abs(item.footprint[0, 1] - eye[2]) < _SMALL_SHADOWS)
    )
    bases = np.array([item.base for item in casters])
    mask = _fill(camera, shadow_outlines(casters, to_sun), bases, _HULL)
    return cv2.blur(mask, (3, 3)).astype(np.float32) / 255


def contact_shadows(items: tuple[Item, ...], camera: Camera) -> np.ndarray:
    """Return the hidden share of the sky at the foot of objects, (H, W) float32 in 0..1."""
    touching = [item for item in items if item.crown is None and item.top > 0]
    feet = np.stack([item.footprint for item in touching])
    middle = feet.mean(axis=1, keepdims=True)
    bases = np.array([item.base + 0.02 for item in touching])
    mask = _fill(camera, middle + (feet - middle) * 1.08, bases, feet.shape[1])
    return cv2.GaussianBlur(mask, (0, 0), camera.width / 250).astype(np.float32) / 255
