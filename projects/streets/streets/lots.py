"""Lots along the street: buildings, houses with gardens, walls, fences, parks, the skyline."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from streets.barriers import fence, wall
from streets.buildings import COARSE, FULL, REDUCED, Style, building, city_style
from streets.camera import View
from streets.cities import City
from streets.draws import chance, pick_weighted, spots
from streets.ground import lot_floor
from streets.items import Item
from streets.layouts import Layout, Side
from streets.mesh import EMPTY, Mesh
from streets.plants import bush, hedge, tree, tree_line

_STREET_LENGTH = 165.0  # metres along which lots are drawn
_NEAR, _MIDDLE = 34.0, 75.0  # metres up to which facades have full and reduced detail
_NEAR_LOTS = 80.0  # metres after which lots are wider, because most are hidden
_Span = tuple[float, float]


class Surroundings:
    """Collects the objects beside the street.

    Attributes:
        lots: weight of each kind of lot along the street.
        items: upright objects in view.
        unseen: buildings out of view, which only cast shadows.
        floors: ground faces of open lots.
    """

    def __init__(self, *, layout: Layout, city: City, rng: np.random.Generator, view: View) -> None:
        self.layout, self.city, self.rng, self.view = layout, city, rng, view
        self.lots = {kind: w * city.lots.get(kind, 1.0) for kind, w in layout.lots.items()}
        self.items: list[Item] = []
        self.unseen: list[Item] = []
        self.floors: list[Mesh] = []

    def point(self, side: Side, s: float, out: float, y: float = 0.0) -> np.ndarray:
        """Return the world point (3,) at s, `out` metres behind the front line."""
        return self.layout.path.point(s, side.sign * (side.front + out), y)

    def footprint(self, side: Side, s: _Span, out: _Span) -> np.ndarray:
        """Return corners (4, 3) of a lot: front left, front right, back right, back left."""
        along = np.array([s[0], s[1], s[1], s[0]])
        across = side.sign * (side.front + np.array([out[0], out[0], out[1], out[1]]))
        return self.layout.path.place(along, across)

    def storeys(self) -> int:
        """Draw a number of storeys for this city."""
        return int(self.rng.integers(self.city.storeys[0], self.city.storeys[1] + 1))

    def build(
        self, corners: np.ndarray, storeys: int, style: Style, *, blind_sides: bool = False
    ) -> None:
        """Add a building, with detail according to its distance."""
        plan = corners[:, [0, 2]]
        if not self.view.sees(plan):
            top = style.eaves(storeys) + style.roof_height
            self.unseen.append(Item(mesh=EMPTY, footprint=plan, top=top, block=True))
            return
        distance = float(np.hypot(*(plan - self.view.eye[[0, 2]]).T).min())
        detail = FULL if distance < _NEAR else REDUCED if distance < _MIDDLE else COARSE
        self.items.append(
            building(
                corners, storeys, style, self.rng, self.view, detail=detail, blind_sides=blind_sides
            )
        )

    def plant(self, side: Side, s: float, out: float, *, size: float = 1.0) -> None:
        """Add a tree or a bush."""
        position = self.point(side, s, out, 0.1)
        if not self.view.sees_point(position):
            return
        if chance(self.rng, 0.55):
            self.items.append(tree(position, self.city, self.rng, self.view, size=size))
        else:
            width = self.rng.uniform(1.0, 2.6)
            self.items.append(bush(position, self.city, self.rng, self.view, width=width))

    def barrier(self, kind: str, side: Side, s: _Span) -> None:
        """Add a "wall", "fence" or "hedge" along the front line."""
        street = self.layout.path.point(s[0], 0)
        for begin, end in pairwise(self.layout.path.knots(*s)):
            a, b = self.point(side, begin, 0.1), self.point(side, end, 0.1)
            if not self.view.sees(np.stack([a, b])[:, [0, 2]]):
                continue
            if kind == "wall":
                self.items.append(wall(a, b, street, self.city, self.rng))
            elif kind == "fence":
                self.items.append(fence(a, b, street, self.rng))
            else:
                height = self.rng.uniform(0.9, 1.7)
                self.items.append(hedge(a, b, height, self.city, self.rng))

    def wood(self, start: np.ndarray, end: np.ndarray, height: float) -> None:
        """Add a distant wood between two ground points."""
        if self.view.sees(np.stack([start, end])[:, [0, 2]]):
            self.items.append(tree_line(start, end, height, self.city, self.rng))

    def lawn(self, side: Side, s: _Span) -> None:
        """Cover a lot with grass."""
        self.floors.append(lot_floor(self.layout, side, s, self.city))

    def backdrop(self, side: Side, s: _Span) -> None:
        """Add trees or a building some distance behind an open lot."""
        if chance(self.rng, 0.6):
            ends = [self.point(side, x, 20) for x in s]
            self.wood(ends[0], ends[1], self.rng.uniform(6, 11))
        else:
            style = city_style(self.city, self.rng)
            self.build(self.footprint(side, s, (16, 27)), self.storeys(), style)


def build_lots(layout: Layout, city: City, rng: np.random.Generator, view: View) -> Surroundings:
    """Fill both sides of the street, its side streets and the horizon."""
    around = Surroundings(layout=layout, city=city, rng=rng, view=view)
    for side in layout.sides:
        for start, end in layout.frontage(side, -5.0, _STREET_LENGTH):
            _fill(around, side, start, end)
        _side_street_rows(around, side)
    _horizon(around)
    return around


def _fill(around: Surroundings, side: Side, start: float, end: float) -> None:
    """Add an uninterrupted row of lots."""
    s = start
    while s < end - 3:
        length = around.rng.uniform(*around.city.frontage) * (1 if s < _NEAR_LOTS else 1.7)
        length = min(length, end - s)
        if end - s - length < 6:
            length = end - s
        kind = pick_weighted(around.rng, around.lots)
        _LOTS[kind](around, side, (s, s + length))
        s += length


def _building_lot(around: Surroundings, side: Side, s: _Span) -> None:
    """Add a building of a closed row; only corner buildings have side windows."""
    rng = around.rng
    setback = rng.uniform(0, 1.2) if chance(rng, 0.3) else 0.0
    corners = around.footprint(side, s, (setback, rng.uniform(11, 15)))
    corner_lot = any(around.layout.is_open(x, side.sign, 2.0) for x in s)
    style = city_style(around.city, rng)
    around.build(corners, around.storeys(), style, blind_sides=not corner_lot)


def _house_lot(around: Surroundings, side: Side, s: _Span) -> None:
    """Add a family house behind a front garden."""
    rng = around.rng
    around.lawn(side, s)
    setback, gap = rng.uniform(3.5, 8), min(rng.uniform(1.5, 3.5), (s[1] - s[0]) / 4)
    out = (setback, setback + rng.uniform(8, 11))
    style = city_style(around.city, rng, house=True)
    storeys = int(rng.integers(1, 3))
    around.build(around.footprint(side, (s[0] + gap, s[1] - gap), out), storeys, style)
    kind = pick_weighted(rng, {"fence": 0.34, "wall": 0.2, "hedge": 0.26, "open": 0.2})
    if kind != "open" and s[1] - s[0] > 2:
        around.barrier(kind, side, s)
    for place in spots(rng, s[0], s[1], (5, 14)):
        around.plant(side, place, rng.uniform(1.5, max(setback - 1, 2)), size=0.75)


def _wall_lot(around: Surroundings, side: Side, s: _Span) -> None:
    """Add a wall along the sidewalk with a backdrop."""
    around.barrier("wall", side, s)
    around.backdrop(side, s)


def _fence_lot(around: Surroundings, side: Side, s: _Span) -> None:
    """Add a fence along the sidewalk with a garden behind it."""
    around.lawn(side, s)
    around.barrier("fence", side, s)
    around.backdrop(side, s)


def _park_lot(around: Surroundings, side: Side, s: _Span) -> None:
    """Add grass, trees and bushes."""
    around.lawn(side, s)
    for place in spots(around.rng, s[0], s[1], (2.5, 7)):
        around.plant(side, place, around.rng.uniform(2, 14))
    around.backdrop(side, s)


def _side_street_rows(around: Surroundings, side: Side) -> None:
    """Add buildings along the side streets, behind the corner lots, and at their ends."""
    rng, path = around.rng, around.layout.path
    for street in around.layout.side_streets:
        if side.sign not in street.signs:
            continue
        for near in (False, True):
            first = street.start - 14 if near else street.end + 3
            out = 17.0
            while out < 75:
                depth = rng.uniform(11, 18)
                corners = around.footprint(side, (first, first + 11), (out, out + depth))
                around.build(corners, around.storeys(), city_style(around.city, rng))
                out += depth + (rng.uniform(2, 6) if chance(rng, 0.3) else 0.1)
        a, b = (path.point(x, side.sign * 96) for x in (street.start - 14, street.end + 14))
        around.wood(a, b, rng.uniform(8, 14))


def _horizon(around: Surroundings) -> None:
    """Add a skyline of towers or a wood at the end of the street."""
    rng, path = around.rng, around.layout.path
    heading = path.heading_at(_STREET_LENGTH + 30)
    center = path.point(_STREET_LENGTH + 30, 0)
    ahead = np.array([np.sin(heading), 0, np.cos(heading)], np.float32)
    right = np.array([np.cos(heading), 0, -np.sin(heading)], np.float32)
    wood = chance(rng, 0.45)
    for k in range(-3, 4):
        middle = center + right * (k * 36 + rng.uniform(-5, 5)) + ahead * rng.uniform(0, 25)
        half = rng.uniform(11, 17)
        if wood or chance(rng, 0.25):
            around.wood(middle - right * 18, middle + right * 18, rng.uniform(8, 15))
        else:
            offsets = ((-half, 0), (half, 0), (half, 14), (-half, 14))
            corners = np.stack([middle + right * x + ahead * z for x, z in offsets])
            style = city_style(around.city, rng)
            around.build(corners.astype(np.float32), int(rng.integers(3, 14)), style)


_LOTS: dict[str, Callable[[Surroundings, Side, _Span], None]] = {
    "building": _building_lot,
    "house": _house_lot,
    "wall": _wall_lot,
    "fence": _fence_lot,
    "park": _park_lot,
}
