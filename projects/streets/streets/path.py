"""The centre line of the street, which maps street coordinates (s along, t right) to the world."""

from dataclasses import dataclass

import numpy as np

_STEP = 1.0  # metres between samples of the centre line
_BEHIND = 12.0  # metres of street behind the camera
_MAX_TURN = np.radians(80)
_EASE = 25.0  # metres over which a slope increases
_KNOTS = (-6.0, 0, 4, 8, 13, 19, 26, 34, 43, 53, 65, 80, 98, 120, 150, 185, 230, 300)


@dataclass(frozen=True)
class Path:
    """A sampled centre line with heading and height.

    Attributes:
        s: (K,) distances along the line; the camera is near s = 0.
        x, z: (K,) positions in the world.
        heading: (K,) radians from +Z toward +X.
        height: (K,) metres above the ground at s = 0.
        straight: whether the street is straight and level, so that a single quad covers any length.
    """

    s: np.ndarray
    x: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    height: np.ndarray
    straight: bool

    @classmethod
    def create(
        cls,
        *,
        curvature: float = 0.0,
        bend_start: float = 0.0,
        grade: float = 0.0,
        grade_start: float = 0.0,
        length: float = 420.0,
    ) -> "Path":
        """Create a centre line.

        Args:
            curvature: 1/radius (1/m) of the bend, positive to the right.
            bend_start: distance to the start of the bend, metres.
            grade: final slope, metres of climb per metre.
            grade_start: distance to the start of the climb, metres.
            length: length of the street ahead, metres.
        """
        s = np.arange(-_BEHIND, length, _STEP)
        turn = curvature * np.maximum(s - bend_start, 0)
        heading = np.clip(turn, -_MAX_TURN, _MAX_TURN)
        x = np.concatenate([[0], np.cumsum(np.sin(heading[:-1]) * _STEP)])
        z = np.concatenate([[0], np.cumsum(np.cos(heading[:-1]) * _STEP)]) - _BEHIND
        past = np.maximum(s - grade_start, 0)
        ramp = np.where(past < _EASE, past**2 / (2 * _EASE), past - _EASE / 2)
        straight = curvature == 0 and grade == 0
        return cls(s, x, z, heading, grade * ramp, straight)

    def heading_at(self, s: float) -> float:
        """Return the direction of the street at s, radians."""
        return float(np.interp(s, self.s, self.heading))

    def place(self, s: np.ndarray, t: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """Convert street coordinates to world points (..., 3); y is the height above the street."""
        if self.straight:
            points = np.empty((*np.broadcast(s, t).shape, 3), np.float32)
            points[..., 0], points[..., 1], points[..., 2] = t, y, s
            return points
        heading = np.interp(s, self.s, self.heading)
        x = np.interp(s, self.s, self.x) + t * np.cos(heading)
        z = np.interp(s, self.s, self.z) - t * np.sin(heading)
        height = np.interp(s, self.s, self.height) + y
        return np.stack(np.broadcast_arrays(x, height, z), axis=-1).astype(np.float32)

    def point(self, s: float, t: float, y: float = 0.0) -> np.ndarray:
        """Return a single world point (3,)."""
        if self.straight:
            return np.array([t, y, s], np.float32)
        return self.place(np.array(s), np.array(t), y)

    def knots(self, start: float, end: float) -> np.ndarray:
        """Return positions that divide an interval so that straight quads follow the street."""
        if self.straight:
            return np.array([start, end])
        between = [knot for knot in _KNOTS if start < knot < end]
        return np.array([start, *between, end])

    def band(self, s: tuple[float, float], t: tuple[float, float], y: float = 0.0) -> np.ndarray:
        """Return quads (N, 4, 3) that cover a rectangle in street coordinates."""
        cuts = self.knots(*s)
        begin, end = cuts[:-1], cuts[1:]
        along = np.stack([begin, end, end, begin], axis=1)
        across = np.broadcast_to([t[0], t[0], t[1], t[1]], along.shape)
        return self.place(along, across, y)
