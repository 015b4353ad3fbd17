"""Rectangles on upright planes, for facades, walls and fences."""

from math import hypot

import numpy as np

from streets.mesh import EMPTY, FACE, Color, Emitter, Material, Mesh

UP = np.array([0, 1, 0], np.float32)
_SILL_TILT = 0.9  # vertical component of the lighting normal of ledges and caps
_LEVEL = np.sqrt(1 - _SILL_TILT**2)

Span = tuple[float, float, float, float]


class Panels:
    """Collects groups of rectangles in painting order; each group is a face of one colour.

    Attributes:
        length: length of the current plane, metres.
        outward: (3,) unit normal of the current plane.
    """

    def __init__(self, *, label: int, closed: bool) -> None:
        """
        Args:
            label: label id of all faces.
            closed: whether the faces are invisible from behind.
        """
        self.label, self.closed = label, closed
        self.length = 0.0
        self.outward = UP
        self._plane = np.zeros((3, 3), np.float32)
        self._spans: list[np.ndarray] = []
        self._planes: list[np.ndarray] = []
        self._faces: list[tuple[Color, int, int, bool]] = []

    def turn_to(self, *, start: np.ndarray, end: np.ndarray, outside: np.ndarray) -> None:
        """Set the plane of the following rectangles.

        Args:
            start, end: (3,) points at the foot; a is 0 at `start` and `length` at `end`.
            outside: (3,) any point on the visible side.
        """
        dx, dy, dz = (end - start).tolist()
        self.length = hypot(dx, dy, dz)
        toward = outside - start
        side = 1.0 if toward[2] * dx - toward[0] * dz > 0 else -1.0
        side /= max(hypot(dx, dz), 1e-6)
        along = (end - start) / max(self.length, 1e-6)
        self._plane = np.stack([start, along, (-side * dz, 0.0, side * dx)]).astype(np.float32)
        self.outward = self._plane[2]

    def add(
        self,
        spans: np.ndarray | list[Span],
        color: Color,
        *,
        material: Material = Material.SMOOTH,
        emitter: Emitter = Emitter.NONE,
        ledge: bool = False,
    ) -> None:
        """Add rectangles (a0, b0, a1, b1) in metres; a `ledge` catches light from above."""
        spans = np.asarray(spans, np.float32).reshape(-1, 4)
        if len(spans):
            self._spans.append(spans)
            self._planes.append(self._plane)
            self._faces.append((color, int(material), int(emitter), ledge))

    def bars(self, gap: float, width: float, bottom: float, top: float) -> np.ndarray:
        """Return evenly spaced upright rectangles along the current plane, (N, 4)."""
        spans = np.empty((int(max((self.length - width / 2) / gap, 0)) + 1, 4), np.float32)
        spans[:, 0] = gap * np.arange(len(spans))
        spans[:, 1], spans[:, 2], spans[:, 3] = bottom, spans[:, 0] + width, top
        return spans

    def mesh(self) -> Mesh:
        """Return the mesh of all groups."""
        if not self._faces:
            return EMPTY
        colors, materials, emitters, ledges = zip(*self._faces, strict=True)
        planes, spans = np.stack(self._planes), np.concatenate(self._spans)
        owner = np.repeat(
            np.arange(len(colors), dtype=np.int32), [len(group) for group in self._spans]
        )
        faces = np.zeros(len(colors), FACE)
        faces["albedo"], faces["material"], faces["emitter"] = colors, materials, emitters
        faces["facing"] = planes[:, 2]
        is_ledge = np.array(ledges)[:, None]
        faces["normal"] = np.where(is_ledge, _SILL_TILT * UP + _LEVEL * planes[:, 2], planes[:, 2])
        faces["label"], faces["closed"], faces["slot"] = self.label, self.closed, -1
        start, along = planes[owner, 0], planes[owner, 1]
        points = start[:, None] + spans[:, [0, 2, 2, 0], None] * along[:, None]
        points[..., 1] += spans[:, [1, 1, 3, 3]]
        return Mesh(points.reshape(-1, 3), np.full(len(spans), 4, np.int32), owner, faces)
