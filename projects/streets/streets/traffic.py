"""Moving and parked vehicles, and riders."""

import numpy as np

from streets.camera import View
from streets.cities import City
from streets.draws import chance, pick, pick_weighted, spots, vary
from streets.ground import crosswalk_middle
from streets.items import Item, rectangle
from streets.layouts import PARKING_WIDTH, Layout, Side
from streets.mesh import Color, Mesh, join
from streets.people import HAIRS, SKINS, rider_from_behind, rider_from_side
from streets.two_wheelers import EXTENT, two_wheeler_model
from streets.vehicles import CARS, TRAM_GAP, TRAM_SECTION, vehicle_extent, vehicle_model

_REACH = 110.0  # metres up to which vehicles are placed
_LIVERIES: tuple[Color, ...] = (
    (0.85, 0.68, 0.15),
    (0.72, 0.12, 0.12),
    (0.18, 0.38, 0.62),
    (0.86, 0.86, 0.84),
    (0.20, 0.48, 0.32),
)
_FREIGHT: tuple[Color, ...] = ((1, 1, 1), (0.95, 0.80, 0.45), (0.55, 0.68, 0.85), (0.8, 0.35, 0.3))
_SADDLE = {"bicycle": 0.88, "motorcycle": 0.78}


def vehicle_item(
    model: str, position: np.ndarray, heading: float, colors: tuple[Color, ...], size: float = 1.0
) -> Item:
    """Build a motor vehicle at a position, in the colours of its paint slots."""
    half_width, half_length = vehicle_extent(model)
    mesh = vehicle_model(model).placed(position, heading, scale=(1, size, size), colors=colors)
    return Item(
        mesh=mesh,
        footprint=rectangle(position, heading, half_width, half_length * size),
        top=0.9 * float(mesh.vertices[:, 1].max() - position[1]),
        base=float(position[1]),
    )


def _motor_vehicle(
    kind: str, position: np.ndarray, heading: float, city: City, rng: np.random.Generator
) -> Item:
    paint = vary(rng, pick(rng, city.paints))
    size = rng.uniform(0.95, 1.05)
    if kind == "car":
        return vehicle_item(pick(rng, CARS), position, heading, (paint, paint), size)
    if kind == "bus":
        return vehicle_item("bus", position, heading, (pick(rng, _LIVERIES),) * 2, size)
    if kind == "truck":
        return vehicle_item("truck", position, heading, (paint, pick(rng, _FREIGHT)), size)
    return vehicle_item(
        "van", position, heading, (pick(rng, (*city.paints, (0.9, 0.9, 0.9))),), size
    )


def two_wheeler(
    kind: str,
    position: np.ndarray,
    heading: float,
    city: City,
    rng: np.random.Generator,
    view: View,
    *,
    ridden: bool,
) -> Item:
    """Build a bicycle or motorcycle, with the rider's visible side toward the camera."""
    paint = vary(rng, pick(rng, city.paints))
    parts: list[Mesh] = [two_wheeler_model(kind).placed(position, heading, colors=(paint,))]
    if ridden:
        sight = view.bearing(position)
        across = np.sin(heading - sight)
        colors = (
            vary(rng, pick(rng, city.clothes)),
            vary(rng, pick(rng, city.clothes)),
            pick(rng, SKINS),
            vary(rng, pick(rng, city.paints if kind == "motorcycle" else HAIRS)),
        )
        if abs(across) > 0.5:
            figure, mirror = rider_from_side(_SADDLE[kind]), float(np.sign(across))
        else:
            figure, mirror = rider_from_behind(_SADDLE[kind]), 1.0
        rider = figure.placed(position, sight, scale=(mirror, 1, 1), colors=colors)
        facing_us = np.cos(heading - sight) < -0.5
        parts = [rider, parts[0]] if facing_us else [parts[0], rider]
    half_width, half_length = EXTENT[kind]
    return Item(
        mesh=join(parts),
        footprint=rectangle(position, heading, half_width, half_length),
        top=1.7 if ridden else 1.0,
        base=float(position[1]),
    )


def lane_traffic(layout: Layout, city: City, rng: np.random.Generator, view: View) -> list[Item]:
    """Build vehicles that drive along the street, lane by lane."""
    items = []
    for side in layout.sides:
        for lane in range(side.lanes):
            t = layout.lane_center(side, lane)
            if all(abs(t - rail) > 0.1 for rail in layout.rails):  # reserved for the tram
                items += _lane(layout, side, t, city, rng, view)
    return items


def _lane(
    layout: Layout, side: Side, t: float, city: City, rng: np.random.Generator, view: View
) -> list[Item]:
    items = []
    mean_gap = 100 / city.traffic
    s = 4.0 + rng.exponential(mean_gap * 0.6) + (4.0 if t * side.sign > 0 and side.sign > 0 else 0)
    while s < _REACH:
        kind = pick_weighted(rng, city.vehicles)
        half = {"bus": 6.0, "truck": 4.5, "van": 2.7}.get(kind, 2.4)
        s += half
        flip = 0.0 if side.sign > 0 else np.pi
        heading = layout.path.heading_at(s) + flip + rng.normal(0, 0.015)
        position = layout.path.point(s, t + rng.normal(0, 0.12))
        if not _blocked(layout, s, half):
            if kind in EXTENT:
                edge = side.sign * 0.9
                position = layout.path.point(s, t + (edge if kind == "bicycle" else 0.0))
                items.append(two_wheeler(kind, position, heading, city, rng, view, ridden=True))
            else:
                items.append(_motor_vehicle(kind, position, heading, city, rng))
        s += half + 3.0 + rng.exponential(mean_gap)
    return items


def _blocked(layout: Layout, s: float, half_length: float) -> bool:
    """Return whether a vehicle at s would be on a crosswalk."""
    return any(abs(crosswalk_middle(c) - s) < half_length + 2.0 for c in layout.crosswalks)


def crossing_traffic(
    layout: Layout, city: City, rng: np.random.Generator, view: View
) -> list[Item]:
    """Build vehicles that cross the street or wait in side streets."""
    items = []
    for street in layout.side_streets[:1]:
        for sign in street.signs:
            for out in spots(rng, layout.right.curb + 7, 55, (12, 40)):
                toward = chance(rng, 0.5)
                lane = 1.7 * (1 if toward == (sign > 0) else -1)
                heading = -sign * np.pi / 2 if toward else sign * np.pi / 2
                position = layout.path.point(street.center + lane, sign * out)
                items.append(_motor_vehicle("car", position, heading, city, rng))
        if len(street.signs) == 2 and chance(rng, 0.45):
            kind = pick_weighted(rng, city.vehicles)
            t = rng.uniform(-4, 4)
            heading, lane = (np.pi / 2, -1.8) if chance(rng, 0.5) else (-np.pi / 2, 1.8)
            position = layout.path.point(street.center + lane, t)
            if kind in EXTENT:
                items.append(two_wheeler(kind, position, heading, city, rng, view, ridden=True))
            else:
                items.append(_motor_vehicle(kind, position, heading, city, rng))
    return items


def parked_vehicles(layout: Layout, city: City, rng: np.random.Generator) -> list[Item]:
    """Build cars in the parking lanes, away from side streets and crosswalks."""
    items = []
    for side in layout.sides:
        if not side.parking:
            continue
        t = side.sign * (side.curb - PARKING_WIDTH / 2 + 0.05)
        for s in np.arange(3.0 + rng.uniform(0, 4), 100, 5.9):
            clear = not layout.is_open(s, side.sign, 5.0) and not _blocked(layout, s, 2.4)
            if not clear or not chance(rng, city.parking):
                continue
            flip = 0.0 if side.sign > 0 else np.pi
            heading = layout.path.heading_at(s) + flip + rng.normal(0, 0.02)
            kind = pick_weighted(rng, {"car": 0.88, "van": 0.09, "truck": 0.03})
            position = layout.path.point(s + rng.normal(0, 0.2), t)
            if kind != "truck" or s > 15:
                items.append(_motor_vehicle(kind, position, heading, city, rng))
    return items


def trams(layout: Layout, rng: np.random.Generator) -> list[Item]:
    """Build a tram on one or both tracks; its sections are separate items."""
    items = []
    for t in layout.rails:
        if not chance(rng, 0.8):
            continue
        livery = (pick(rng, _LIVERIES),) * 2
        away = t > 0
        middle = rng.uniform(30, 70) if away else rng.uniform(22, 65)
        flip = 0.0 if away else np.pi
        for k, model in ((-1, "tram_head"), (0, "tram_middle"), (1, "tram_head")):
            s = middle + k * (TRAM_SECTION + TRAM_GAP)
            forward = flip if (k > 0) == away else flip + np.pi
            heading = layout.path.heading_at(s) + forward
            items.append(vehicle_item(model, layout.path.point(s, t), heading, livery))
    return items
