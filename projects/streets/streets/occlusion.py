"""Painting order of objects on the ground.

Objects stand upright on convex footprints, so the ground plan determines occlusion: an object
cannot hide another if a line along a side of its footprint separates the footprint from the camera
and the other object.
"""

import numpy as np

_TOLERANCE = 0.03  # metres by which neighbours may overlap and still count as separate


def painting_order(footprints: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Sort footprints so that objects that may hide others come later.

    Args:
        footprints: (N, k, 2) corners (x, z) of convex polygons in ring order; sides may have
            length 0.
        eye: (2,) position of the camera.

    Returns:
        (N,) indices. If footprints intersect or hide each other in a cycle, the farthest is first.
    """
    count = len(footprints)
    footprints = np.asarray(footprints, np.float32) - np.asarray(eye, np.float32)
    distance = np.sqrt((footprints.mean(axis=1) ** 2).sum(1))
    before = _must_precede(footprints, distance) & _share_directions(footprints)
    np.fill_diagonal(before, False)

    waiting = before.sum(axis=0)  # number of objects to paint before each
    priority = distance.copy()
    order = np.empty(count, np.int64)
    for k in range(count):
        ready = np.where(waiting == 0, priority, -1.0)
        chosen = int(ready.argmax())
        if ready[chosen] < 0:  # breaks a cycle at the farthest
            chosen = int(priority.argmax())
        order[k] = chosen
        priority[chosen] = -2.0
        waiting -= before[chosen]
        waiting[chosen] = count
    return order


def _must_precede(footprints: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return (N, N) bool; [a, b] is True if b may hide a, but a cannot hide b."""
    count, corners = footprints.shape[:2]
    along = np.roll(footprints, -1, axis=1) - footprints
    length = np.sqrt((along**2).sum(-1, keepdims=True))
    normal = np.stack([along[..., 1], -along[..., 0]], -1) / np.maximum(length, 1e-6)
    middle = footprints.mean(axis=1, keepdims=True)
    inward = ((middle - footprints) * normal).sum(-1, keepdims=True) > 0
    normal = np.where(inward, -normal, normal).reshape(-1, 2)
    offset = (footprints.reshape(-1, 2) * normal).sum(1)
    usable = length.reshape(-1) > 1e-3

    outside = np.full((len(normal), count), np.inf, np.float32)  # lowest corner over each line
    for corner in range(corners):
        np.minimum(outside, normal @ footprints[:, corner].T, out=outside)
    beyond = (outside - offset[:, None] > -_TOLERANCE) & usable[:, None]
    eye_outside = -offset > 0
    cannot_hide = (beyond & eye_outside[:, None]).reshape(count, corners, count).any(1)
    cannot_be_hidden_by = (beyond & ~eye_outside[:, None]).reshape(count, corners, count).any(1)
    cannot_hide |= cannot_be_hidden_by.T
    undecided = ~cannot_hide & ~cannot_hide.T
    return (cannot_hide & ~cannot_hide.T) | (undecided & (distance[:, None] > distance))


def _share_directions(footprints: np.ndarray) -> np.ndarray:
    """Return whether footprints overlap in direction, as seen from the origin, (N, N) bool."""
    angles = np.arctan2(footprints[..., 0], footprints[..., 1])
    low, high = angles.min(1), angles.max(1)
    wraps = high - low > np.pi
    low, high = np.where(wraps, -np.pi, low), np.where(wraps, np.pi, high)
    return (low[:, None] <= high) & (low <= high[:, None])
