"""The pinhole camera of the ego vehicle."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Pose of the camera, independent of the image size.

    Attributes:
        position: (x, y, z) in metres.
        yaw, pitch, roll: radians; yaw turns from +Z toward +X, and positive pitch looks up.
        field_of_view: horizontal field of view, radians.
    """

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    field_of_view: float


@dataclass(frozen=True, kw_only=True)
class View:
    """The visible wedge of the ground plan.

    Attributes:
        eye: (3,) position of the camera.
        yaw: heading of the optical axis, radians.
        spread: tangent of half the horizontal field of view, with a margin for roll.
    """

    eye: np.ndarray
    yaw: float
    spread: float

    @classmethod
    def from_pose(cls, pose: Pose) -> "View":
        """Return the wedge of a pose."""
        spread = 1.05 * float(np.tan(pose.field_of_view / 2)) + 0.02
        return cls(eye=np.asarray(pose.position, np.float32), yaw=pose.yaw, spread=spread)

    def bearing(self, position: np.ndarray) -> float:
        """Return the heading of the line from the camera to a position, radians."""
        return float(np.arctan2(position[0] - self.eye[0], position[2] - self.eye[2]))

    def sees(self, footprints: np.ndarray, margin: float = 1.0) -> np.ndarray:
        """Return whether convex footprints (..., k, 2) may be in the wedge, with a margin in m."""
        c, s = cos(self.yaw), sin(self.yaw)
        x, z = footprints[..., 0] - self.eye[0], footprints[..., 1] - self.eye[2]
        ahead, right = s * x + c * z, c * x - s * z
        limit = self.spread * ahead + margin
        beside = (right >= limit).all(-1) | (-right >= limit).all(-1)
        return (ahead.max(-1) > 0.3) & ~beside

    def sees_point(self, position: np.ndarray, margin: float = 3.0) -> bool:
        """Return whether a position (3,) may be in the wedge, with a margin in metres."""
        return bool(self.sees(position[None, [0, 2]], margin))


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pose with an image size; camera frame x right, y down, z forward.

    Attributes:
        height, width: image size in pixels; pixel (row i, column j) covers [j, j+1) x [i, i+1).
        focal: focal length in pixels.
        position: (3,) world position.
        rotation: (3, 3), rows are the camera's axes in the world.
    """

    height: int
    width: int
    focal: float
    position: np.ndarray
    rotation: np.ndarray

    @classmethod
    def from_pose(cls, pose: Pose, size: tuple[int, int]) -> "Camera":
        """Build the camera for an image of `size` = (height, width)."""
        height, width = size
        cy, sy = np.cos(pose.yaw), np.sin(pose.yaw)
        cp, sp = np.cos(pose.pitch), np.sin(pose.pitch)
        cr, sr = np.cos(pose.roll), np.sin(pose.roll)
        right, forward = np.array([cy, 0, -sy]), np.array([cp * sy, sp, cp * cy])
        down = -np.cross(forward, right)
        rotation = np.stack([cr * right + sr * down, cr * down - sr * right, forward])
        return cls(
            height=height,
            width=width,
            focal=width / 2 / float(np.tan(pose.field_of_view / 2)),
            position=np.asarray(pose.position, np.float32),
            rotation=rotation.astype(np.float32),
        )

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Convert world points (..., 3) to the camera frame."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return image coordinates (..., 2) = (u, v) of camera-frame points with positive z."""
        center = np.array([self.width / 2, self.height / 2], np.float32)
        return points[..., :2] * (self.focal / points[..., 2:]) + center

    def ray_slopes(self, offset: float) -> tuple[np.ndarray, np.ndarray]:
        """Return x/z of columns (W,) and y/z of rows (H,), sampled `offset` into the pixel."""
        columns = (np.arange(self.width, dtype=np.float32) + offset - self.width / 2) / self.focal
        rows = (np.arange(self.height, dtype=np.float32) + offset - self.height / 2) / self.focal
        return columns.astype(np.float32), rows.astype(np.float32)
