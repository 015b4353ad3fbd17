"""Meshes of planar coloured faces, which all objects of a scene consist of.

The world frame has X right, Y up and Z forward, in metres. A face consists of one or more coplanar
polygons with shared attributes. Faces of a mesh are painted in order, so details come last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import cos, sin

import numpy as np

Color = tuple[float, float, float]


class Material(IntEnum):
    """Surface structure of a face; the renderer has a texture for each."""

    SMOOTH = 0
    ASPHALT = 1
    PAVING = 2
    BRICK = 3
    PLASTER = 4
    GRASS = 5
    FOLIAGE = 6
    WOOD = 7
    GLASS = 8
    CLOTH = 9
    TILES = 10


class Emitter(IntEnum):
    """Kind of lamp of a face; a look defines the radiance of each kind."""

    NONE = 0
    SIGNAL = 1
    TAIL_LIGHT = 2
    HEADLIGHT = 3
    STREET_LAMP = 4
    WINDOW = 5
    DISPLAY = 6


FACE = np.dtype(
    [
        ("albedo", "f4", 3),  # sRGB-encoded reflectance in 0..1
        ("facing", "f4", 3),  # geometric unit normal, outward where the face closes a solid
        ("normal", "f4", 3),  # unit normal for lighting; makes flat foliage appear round
        ("label", "u1"),
        ("material", "u1"),
        ("emitter", "u1"),
        ("closed", "?"),  # invisible from behind
        ("slot", "i1"),  # index of the instance colour that tints the face, -1 for none
    ],
    align=True,
)


@dataclass(frozen=True)
class Mesh:
    """Polygons with shared face attributes.

    Attributes:
        vertices: (V, 3) float32, concatenated corners of the polygons.
        sizes: (P,) int32, corners of every polygon.
        owner: (P,) int32, face of every polygon, non-decreasing.
        faces: (F,) array of `FACE`.
    """

    vertices: np.ndarray
    sizes: np.ndarray
    owner: np.ndarray
    faces: np.ndarray

    def placed(
        self,
        position: Sequence[float] | np.ndarray,
        heading: float = 0.0,
        *,
        scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
        colors: Sequence[Color] = (),
    ) -> "Mesh":
        """Place an instance of a model.

        Args:
            position: (3,) world position of the origin.
            heading: rotation about the vertical axis, radians from +Z toward +X.
            scale: scale along x, y, z before the rotation; should be near 1, because normals are
                not scaled.
            colors: `colors[k]` multiplies the albedo of faces with slot k.
        """
        c, s = cos(heading), sin(heading)
        turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], np.float32)
        faces = self.faces.copy()
        faces["facing"] = faces["facing"] @ turn
        faces["normal"] = faces["normal"] @ turn
        if colors:
            tinted = faces["slot"] >= 0
            tints = np.asarray(colors, np.float32)
            faces["albedo"][tinted] *= tints[faces["slot"][tinted]]
        stretch = np.asarray(scale, np.float32)[:, None] * turn
        vertices = self.vertices @ stretch + np.asarray(position, np.float32)
        return Mesh(vertices, self.sizes, self.owner, faces)


_OPAQUE = np.dtype((np.void, FACE.itemsize))  # NumPy joins structured arrays slowly

EMPTY = Mesh(
    np.zeros((0, 3), np.float32), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, FACE)
)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Concatenate meshes; the first is painted first."""
    if not meshes:
        return EMPTY
    offsets = np.cumsum([0] + [len(mesh.faces) for mesh in meshes[:-1]])
    owner = [mesh.owner + offset for mesh, offset in zip(meshes, offsets, strict=True)]
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.sizes for mesh in meshes]),
        np.concatenate(owner).astype(np.int32, copy=False),
        np.concatenate([mesh.faces.view(_OPAQUE) for mesh in meshes]).view(FACE),
    )


def _newell(points: np.ndarray) -> np.ndarray:
    """Return unit normals of planar polygons (P, k, 3)."""
    x, y, z = np.moveaxis(points - points[:, :1], 2, 0)
    following = np.append(np.arange(1, points.shape[1]), 0)
    xn, yn, zn = x[:, following], y[:, following], z[:, following]
    normal = np.stack([y * zn - z * yn, z * xn - x * zn, x * yn - y * xn]).sum(2).T
    return normal / np.maximum(np.sqrt((normal * normal).sum(1, keepdims=True)), 1e-9)


def polygons(
    points: np.ndarray,
    albedo: Color | np.ndarray,
    label: int,
    *,
    material: int = Material.SMOOTH,
    emitter: int = Emitter.NONE,
    slot: int = -1,
    inside: Sequence[float] | np.ndarray | None = None,
    facing: Sequence[float] | np.ndarray | None = None,
    normal: Sequence[float] | np.ndarray | None = None,
    together: bool = False,
) -> Mesh:
    """Build faces from polygons with the same number of corners.

    Args:
        points: (P, k, 3) corners.
        albedo: one colour, or (P, 3) colours.
        label: label id of all faces.
        material: a `Material`.
        emitter: an `Emitter`.
        slot: instance colour that tints the faces.
        inside: point behind every face; if given, faces are only visible from the other side.
        facing: geometric unit normal, if known.
        normal: unit normal for lighting, one or (P, 3); the geometric one if not given.
        together: whether the polygons are coplanar and form one face (overlaps cut holes).
    """
    points = np.asarray(points, np.float32)
    count, corners = points.shape[:2]
    faces = np.zeros(1 if together else count, FACE)
    if facing is None:
        facing = _newell(points[: len(faces)])
    if inside is not None:
        away = points[: len(faces), 0] - np.asarray(inside, np.float32)
        facing = facing * np.where((facing * away).sum(1, keepdims=True) < 0, -1, 1)
        faces["closed"] = True
    faces["albedo"], faces["facing"] = albedo, facing
    faces["normal"] = facing if normal is None else normal
    faces["label"], faces["material"], faces["emitter"] = label, material, emitter
    faces["slot"] = slot
    owner = np.zeros(count, np.int32) if together else np.arange(count, dtype=np.int32)
    return Mesh(points.reshape(-1, 3), np.full(count, corners, np.int32), owner, faces)
