"""Objects on the ground: meshes with footprints, which determine occlusion."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from streets.mesh import Mesh


@dataclass(frozen=True, kw_only=True)
class Item:
    """An upright object.

    Attributes:
        mesh: faces in painting order.
        footprint: (k, 2) corners (x, z) of a convex polygon in ring order; k is 4 for all items.
        top: height of the shadow caster, metres.
        base: world height of the ground under the object.
        crown: (m, 2) outline that casts the shadow instead of the footprint (trees).
        lift: height at which the shadow caster starts.
        block: whether the object is a building, which may shade objects beside it.
    """

    mesh: Mesh
    footprint: np.ndarray
    top: float
    base: float = 0.0
    crown: np.ndarray | None = None
    lift: float = 0.0
    block: bool = False


def rectangle(
    position: np.ndarray, heading: float, half_width: float, half_length: float
) -> np.ndarray:
    """Return the corners (4, 2) of a rectangle on the ground plan around a world position (3,)."""
    c, s, x, z = cos(heading), sin(heading), float(position[0]), float(position[2])
    right, ahead = (c * half_width, -s * half_width), (s * half_length, c * half_length)
    return np.array(
        [
            (x + i * right[0] + j * ahead[0], z + i * right[1] + j * ahead[1])
            for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )
