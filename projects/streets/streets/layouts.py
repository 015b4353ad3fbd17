"""Street layouts in street coordinates, independent of their appearance.

A layout has a centre line, a cross-section (median, lanes, sidewalks, front line) and side streets.
`LAYOUTS` lists the kinds; add a function to it for a new kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from streets.cities import City
from streets.draws import chance
from streets.path import Path

PARKING_WIDTH = 2.3
LEFT, RIGHT = -1, 1


@dataclass(frozen=True, kw_only=True)
class Side:
    """Half of the cross-section; distances are |t|, outward from the centre line.

    Attributes:
        sign: `LEFT` or `RIGHT`.
        lanes: number of lanes. Traffic drives on the right, so lanes on the left are oncoming.
        lanes_start: inner edge of the first lane.
        curb: edge between road and sidewalk.
        front: edge between sidewalk and lots.
        parking: whether there is a parking lane along the curb.
        verge: width of a grass strip along the curb, 0 for none.
    """

    sign: int
    lanes: int
    lanes_start: float
    curb: float
    front: float
    parking: bool
    verge: float


@dataclass(frozen=True, kw_only=True)
class SideStreet:
    """A side street at a right angle.

    Attributes:
        center: s of its axis.
        width: metres from curb to curb.
        signs: sides that it leads to.
    """

    center: float
    width: float
    signs: tuple[int, ...]

    @property
    def start(self) -> float:
        """Position s of the near curb."""
        return self.center - self.width / 2

    @property
    def end(self) -> float:
        """Position s of the far curb."""
        return self.center + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Layout of a street.

    Attributes:
        kind: name in `LAYOUTS`.
        path: centre line.
        lane_width: width of a lane, metres.
        median: half the width of the green strip in the middle, 0 for none.
        left, right: halves of the cross-section.
        side_streets: side streets in order of distance.
        crosswalks: s of the near edges of zebra crossings.
        rails: t of the axes of tram tracks in the road.
        lots: weight of each kind of lot along the street.
    """

    kind: str
    path: Path
    lane_width: float
    median: float
    left: Side
    right: Side
    side_streets: tuple[SideStreet, ...] = ()
    crosswalks: tuple[float, ...] = ()
    rails: tuple[float, ...] = ()
    lots: dict[str, float] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both halves of the cross-section."""
        return self.left, self.right

    def lane_center(self, side: Side, lane: int) -> float:
        """Return the signed t of the middle of a lane, counted from the centre line."""
        return side.sign * (side.lanes_start + (lane + 0.5) * self.lane_width)

    def is_open(self, s: float, sign: int, margin: float = 0.0) -> bool:
        """Return whether there is a side street at s on this side."""
        return any(
            sign in street.signs and street.start - margin < s < street.end + margin
            for street in self.side_streets
        )

    def frontage(self, side: Side, start: float, end: float) -> list[tuple[float, float]]:
        """Return the intervals of s between start and end without side streets, in order."""
        intervals = []
        for street in self.side_streets:
            if side.sign in street.signs:
                intervals.append((start, street.start))
                start = street.end
        intervals.append((start, end))
        return [(a, b) for a, b in intervals if b - a > 0.5]


def _side(
    city: City,
    rng: np.random.Generator,
    sign: int,
    lanes: int,
    lane_width: float,
    *,
    median: float = 0.0,
    parking: float = 0.5,
    verge: float = 0.0,
) -> Side:
    parked = chance(rng, parking)
    curb = median + lanes * lane_width + (PARKING_WIDTH if parked else 0.5)
    return Side(
        sign=sign,
        lanes=lanes,
        lanes_start=median,
        curb=curb,
        front=curb + verge + rng.uniform(*city.sidewalk_width),
        parking=parked,
        verge=verge,
    )


def _slope(rng: np.random.Generator) -> dict[str, float]:
    if chance(rng, 0.55):
        return {}
    return {"grade": rng.uniform(-0.008, 0.055), "grade_start": rng.uniform(10, 50)}


URBAN_LOTS = {"building": 0.69, "wall": 0.1, "fence": 0.08, "park": 0.13}
SUBURBAN_LOTS = {"house": 0.54, "wall": 0.11, "fence": 0.1, "park": 0.25}


def _straight(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    lanes = int(rng.integers(1, 3))
    crosswalks = (float(rng.uniform(9, 26)),) if chance(rng, 0.4) else ()
    return Layout(
        kind="straight",
        path=Path.create(**_slope(rng)),
        lane_width=width,
        median=0.0,
        left=_side(city, rng, LEFT, lanes, width, parking=0.6),
        right=_side(city, rng, RIGHT, lanes, width, parking=0.6),
        crosswalks=crosswalks,
        lots=URBAN_LOTS,
    )


def _curve(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    lanes = int(rng.integers(1, 3))
    curvature = rng.choice((-1, 1)) / rng.uniform(65, 150)
    path = Path.create(curvature=curvature, bend_start=rng.uniform(2, 22), **_slope(rng))
    urban = chance(rng, 0.6)
    return Layout(
        kind="curve",
        path=path,
        lane_width=width,
        median=0.0,
        left=_side(city, rng, LEFT, lanes, width, parking=0.4),
        right=_side(city, rng, RIGHT, lanes, width, parking=0.4),
        lots=URBAN_LOTS if urban else SUBURBAN_LOTS,
    )


def _intersection(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    lanes = int(rng.integers(1, 3))
    signs = (LEFT, RIGHT) if chance(rng, 0.7) else ((LEFT,) if chance(rng, 0.5) else (RIGHT,))
    crossing = SideStreet(
        center=float(rng.uniform(18, 42)), width=float(rng.uniform(7, 13)), signs=signs
    )
    side_streets = [crossing]
    if chance(rng, 0.5):
        next_center = crossing.end + rng.uniform(45, 80)
        side_streets.append(SideStreet(center=next_center, width=8.0, signs=(LEFT, RIGHT)))
    return Layout(
        kind="intersection",
        path=Path.create(),
        lane_width=width,
        median=0.0,
        left=_side(city, rng, LEFT, lanes, width),
        right=_side(city, rng, RIGHT, lanes, width),
        side_streets=tuple(side_streets),
        crosswalks=(crossing.start - 4.5, crossing.end + 1.5),
        lots=URBAN_LOTS,
    )


def _avenue(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    median = float(rng.uniform(1.2, 3.5))
    lanes = int(rng.integers(2, 4))
    crosswalks = (float(rng.uniform(12, 35)),) if chance(rng, 0.3) else ()
    return Layout(
        kind="avenue",
        path=Path.create(**_slope(rng)),
        lane_width=width,
        median=median,
        left=_side(city, rng, LEFT, lanes, width, median=median, parking=0.3, verge=1.5),
        right=_side(city, rng, RIGHT, lanes, width, median=median, parking=0.3, verge=1.5),
        crosswalks=crosswalks,
        lots=URBAN_LOTS | {"park": 0.25},
    )


def _suburb(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    bend = {}
    if chance(rng, 0.4):
        curvature = rng.choice((-1, 1)) / rng.uniform(110, 260)
        bend = {"curvature": curvature, "bend_start": rng.uniform(5, 30)}
    verge = float(rng.uniform(1.0, 2.5))
    return Layout(
        kind="suburb",
        path=Path.create(**_slope(rng), **bend),
        lane_width=width,
        median=0.0,
        left=_side(city, rng, LEFT, 1, width, parking=0.35, verge=verge),
        right=_side(city, rng, RIGHT, 1, width, parking=0.35, verge=verge),
        lots=SUBURBAN_LOTS,
    )


def _tram(city: City, rng: np.random.Generator) -> Layout:
    width = rng.uniform(*city.lane_width)
    signs = (LEFT, RIGHT) if chance(rng, 0.6) else (LEFT,)
    crossing = SideStreet(center=float(rng.uniform(35, 70)), width=9.0, signs=signs)
    return Layout(
        kind="tram",
        path=Path.create(),
        lane_width=width,
        median=0.0,
        left=_side(city, rng, LEFT, 2, width, parking=0.3),
        right=_side(city, rng, RIGHT, 2, width, parking=0.3),
        side_streets=(crossing,) if chance(rng, 0.6) else (),
        crosswalks=(float(rng.uniform(10, 24)),) if chance(rng, 0.5) else (),
        rails=(-width / 2, width / 2),
        lots=URBAN_LOTS,
    )


LAYOUTS: dict[str, Callable[[City, np.random.Generator], Layout]] = {
    "straight": _straight,
    "curve": _curve,
    "intersection": _intersection,
    "avenue": _avenue,
    "suburb": _suburb,
    "tram": _tram,
}
