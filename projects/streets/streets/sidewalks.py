"""Objects and people on the sidewalks, the verges and the median."""

import numpy as np

from streets.camera import View
from streets.cities import City
from streets.draws import chance, pick, spots, vary
from streets.furniture import (
    bin_or_box,
    bollard,
    direction_board,
    street_lamp,
    traffic_light,
    traffic_sign,
)
from streets.ground import CURB_HEIGHT, crosswalk_middle
from streets.items import Item, rectangle
from streets.layouts import Layout, Side
from streets.people import HAIRS, POSES, SKINS, pedestrian_model
from streets.plants import bush, tree
from streets.traffic import two_wheeler

_REACH = 90.0


def pedestrian(position: np.ndarray, city: City, rng: np.random.Generator, view: View) -> Item:
    """Build a person at a position, who faces left or right."""
    height = rng.normal(0.98, 0.06) if chance(rng, 0.93) else rng.uniform(0.6, 0.75)
    width = height * rng.uniform(0.92, 1.15) * (1 if chance(rng, 0.5) else -1)
    colors = (
        vary(rng, pick(rng, city.clothes), 0.1),
        vary(rng, pick(rng, city.clothes), 0.1),
        pick(rng, SKINS),
        pick(rng, HAIRS),
    )
    sight = view.bearing(position)
    model = pedestrian_model(int(rng.integers(POSES)))
    return Item(
        mesh=model.placed(position, sight, scale=(width, height, 1), colors=colors),
        footprint=rectangle(position, sight, 0.3, 0.12),
        top=1.65 * height,
        base=float(position[1]),
    )


def pedestrians(layout: Layout, city: City, rng: np.random.Generator, view: View) -> list[Item]:
    """Build people, alone and in groups, on sidewalks and crosswalks."""
    items = []
    for side in layout.sides:
        mean_gap = 100 / city.pedestrians
        s = 5.0 + rng.exponential(mean_gap * 0.6)
        while s < _REACH:
            if not layout.is_open(s, side.sign):
                inner, outer = side.curb + max(side.verge, 0.5), side.front - 0.5
                out = rng.uniform(inner, max(outer, inner + 0.2))
                for k in range(1 + int(rng.random() < 0.35) + int(rng.random() < 0.12)):
                    place = layout.path.point(
                        s + 0.3 * k, side.sign * (out + 0.62 * k), CURB_HEIGHT
                    )
                    items.append(pedestrian(place, city, rng, view))
            s += rng.exponential(mean_gap) + 0.8
    for crosswalk in layout.crosswalks:
        for t in spots(rng, -layout.left.curb, layout.right.curb, (1.2, 9)):
            place = layout.path.point(crosswalk_middle(crosswalk) + rng.normal(0, 0.6), t)
            items.append(pedestrian(place, city, rng, view))
    return items


def lamps(layout: Layout, rng: np.random.Generator) -> tuple[list[Item], np.ndarray]:
    """Build street lamps along both curbs, and return them with the positions (N, 3) of lights."""
    items, lights = [], []
    gap = rng.uniform(22, 32)
    for side in layout.sides:
        for s in np.arange(rng.uniform(6, 6 + gap / 2), 140, gap):
            if layout.is_open(s, side.sign, 1.0):
                continue
            t = side.sign * (side.curb + 0.45)
            toward = layout.path.heading_at(s) - side.sign * np.pi / 2
            item, light = street_lamp(layout.path.point(s, t, CURB_HEIGHT), toward, rng)
            items.append(item)
            lights.append(light)
    return items, np.array(lights, np.float32).reshape(-1, 3)


def signals(layout: Layout, rng: np.random.Generator) -> list[Item]:
    """Build traffic lights for all directions at side streets and some crosswalks."""
    items = []
    stops = [street.start - 5.2 for street in layout.side_streets]
    if not layout.side_streets:
        stops = [s - 0.7 for s in layout.crosswalks if chance(rng, 0.7)]
    lit = pick(rng, (0, 2, 2, 1))
    for s in stops:
        heading = layout.path.heading_at(s)
        right, left = layout.right, layout.left
        reach = right.curb - right.lanes_start - 1.5 if chance(rng, 0.55) else 0.0
        place = layout.path.point(s, right.curb + 0.5, CURB_HEIGHT)
        items.append(traffic_light(place, heading, lit, reach=reach))
        far = next((x.end + 0.8 for x in layout.side_streets if x.start > s), s)
        for t in (-left.curb - 0.5, right.curb + 0.5):
            if not layout.is_open(far, int(np.sign(t))):
                place = layout.path.point(far, t, CURB_HEIGHT)
                items.append(traffic_light(place, heading, lit))
    return items


def signs(layout: Layout, rng: np.random.Generator) -> list[Item]:
    """Build traffic signs on both curbs; half of those on the left face away from the camera."""
    items = []
    for side in layout.sides:
        for s in spots(rng, 7, 85, (11, 34)):
            if layout.is_open(s, side.sign, 1.0):
                continue
            heading = layout.path.heading_at(s) + rng.normal(0, 0.08)
            place = layout.path.point(s, side.sign * (side.curb + 0.4), CURB_HEIGHT)
            items.append(traffic_sign(place, heading, rng))
        if chance(rng, 0.22):
            s = rng.uniform(18, 45)
            if not layout.is_open(s, side.sign, 3.0):
                place = layout.path.point(s, side.sign * (side.curb + 1.6), CURB_HEIGHT)
                items.append(direction_board(place, layout.path.heading_at(s), rng))
    return items


def greenery(layout: Layout, city: City, rng: np.random.Generator, view: View) -> list[Item]:
    """Build street trees along the curbs and plants on the median."""
    items = []
    for side in layout.sides:
        if not side.verge and side.front - side.curb < 2.6:
            continue
        if chance(rng, 0.25) and not side.verge:
            continue
        t = side.sign * (side.curb + (side.verge / 2 if side.verge else 0.75))
        for s in spots(rng, 5, 120, city.tree_gap):
            place = layout.path.point(s, t, CURB_HEIGHT)
            if not layout.is_open(s, side.sign, 2.0) and view.sees_point(place):
                items.append(tree(place, city, rng, view, size=rng.uniform(0.7, 1.0)))
    if layout.median:
        for s in spots(rng, 7, 120, (5, 16)):
            place = layout.path.point(s, rng.uniform(-0.3, 0.3), CURB_HEIGHT)
            if chance(rng, 0.5):
                items.append(tree(place, city, rng, view, size=rng.uniform(0.6, 0.9)))
            else:
                items.append(bush(place, city, rng, view, width=rng.uniform(1.0, 2.4)))
    return items


def clutter(layout: Layout, city: City, rng: np.random.Generator, view: View) -> list[Item]:
    """Build parked two-wheelers, bollards and bins."""
    items = []
    for side in layout.sides:
        heading = layout.path.heading_at(10) + np.pi / 2
        for s in spots(rng, 6, 70, (9, 26)):
            if layout.is_open(s, side.sign, 1.0):
                continue
            items += _group(layout, side, s, city, rng, view, heading)
    return items


def _group(
    layout: Layout,
    side: Side,
    s: float,
    city: City,
    rng: np.random.Generator,
    view: View,
    heading: float,
) -> list[Item]:
    kind = pick(rng, ("bicycle", "bicycle", "motorcycle", "bollard", "bin"))
    curbside = side.curb + max(side.verge, 0.0)
    count = int(rng.integers(1, 5)) if kind != "bin" else 1
    items = []
    for k in range(count):
        if kind == "bollard":
            place = layout.path.point(s + 1.6 * k, side.sign * (curbside + 0.35), CURB_HEIGHT)
            items.append(bollard(place, 0.0))
        elif kind == "bin":
            place = layout.path.point(s, side.sign * (side.front - 0.5), CURB_HEIGHT)
            items.append(bin_or_box(place, heading, rng))
        else:
            out = side.front - 0.7 if chance(rng, 0.5) else curbside + 0.9
            place = layout.path.point(s + 0.75 * k, side.sign * out, CURB_HEIGHT)
            turn = heading + rng.normal(0, 0.2) + rng.choice((0.0, 0.9))
            items.append(two_wheeler(kind, place, turn, city, rng, view, ridden=False))
    return items
