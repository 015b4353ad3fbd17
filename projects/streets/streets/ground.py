"""The ground: carriageway, markings, curbs, sidewalks, verges, side streets and open land."""

import numpy as np

from streets.cities import City
from streets.classes import LABEL_ID
from streets.layouts import Layout, Side, SideStreet
from streets.mesh import Color, Material, Mesh, join, polygons

CURB_HEIGHT = 0.13
STREET_END = 230.0
_STREET_BEGIN = -6.0
_SIDE_STREET_REACH = 95.0
_LAND = 1500.0  # metres, half the extent of the open land
_UP = (0.0, 1.0, 0.0)
_MARKING: Color = (0.86, 0.86, 0.84)
_STRIPE = 0.5  # metres, width and spacing of zebra stripes
_CROSSWALK_LENGTH = 3.0


def build_ground(layout: Layout, city: City, rng: np.random.Generator) -> Mesh:
    """Build all ground faces of a scene, in painting order."""
    parts = [_land(layout, city), _carriageway(layout, city)]
    parts += _wear(layout, city, rng)
    parts += [_side_street(layout, street, city) for street in layout.side_streets]
    parts += _markings(layout, city)
    parts += [_crosswalk(layout, s) for s in layout.crosswalks]
    parts += [_rail(layout, t) for t in layout.rails]
    for side in layout.sides:
        parts += _sidewalk(layout, side, city)
    if layout.median:
        parts += _median(layout, city)
    return join(parts)


def _flat(points: np.ndarray, color: Color, label: str, material: int = Material.SMOOTH) -> Mesh:
    facing = _UP if np.ptp(points[..., 1]) == 0 else None
    return polygons(points, color, LABEL_ID[label], material=material, facing=facing, normal=_UP)


def _shade(color: Color, factor: float) -> Color:
    r, g, b = color
    return (r * factor, g * factor, b * factor)


def _land(layout: Layout, city: City) -> Mesh:
    far = np.array([[[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]], np.float32) * _LAND
    far[..., 1] = -0.05
    parts = [_flat(far, city.grass, "terrain", Material.GRASS)]
    if not layout.path.straight:
        along = layout.path.band((_STREET_BEGIN, STREET_END), (-48, 48), -0.03)
        parts.append(_flat(along, city.grass, "terrain", Material.GRASS))
    return join(parts)


def _carriageway(layout: Layout, city: City) -> Mesh:
    extent = (-layout.left.curb, layout.right.curb)
    quads = layout.path.band((_STREET_BEGIN, STREET_END), extent)
    return _flat(quads, city.asphalt, "road", Material.ASPHALT)


def _wear(layout: Layout, city: City, rng: np.random.Generator) -> list[Mesh]:
    """Build repair patches and darker wheel tracks."""
    parts = []
    for side in layout.sides:
        for lane in range(side.lanes):
            middle = layout.lane_center(side, lane)
            for offset in (-0.8, 0.8):
                track = (middle + offset - 0.3, middle + offset + 0.3)
                quads = layout.path.band((_STREET_BEGIN, STREET_END), track)
                parts.append(_flat(quads, _shade(city.asphalt, 0.95), "road", Material.ASPHALT))
    for _ in range(int(rng.integers(1, 6))):
        s, t = rng.uniform(3, 45), rng.uniform(-layout.left.curb, layout.right.curb - 1)
        length, width = rng.uniform(0.8, 9), rng.uniform(0.6, 1.8)
        quads = layout.path.band((s, s + length), (t, min(t + width, layout.right.curb)))
        shade = _shade(city.asphalt, rng.uniform(0.82, 1.1))
        parts.append(_flat(quads, shade, "road", Material.ASPHALT))
    return parts


def _markings(layout: Layout, city: City) -> list[Mesh]:
    """Build centre line, lane dashes and parking lines, interrupted at side streets."""
    parts = []
    free = [(-4.0, 150.0)]
    for street in layout.side_streets:
        start = free.pop()[0]
        free += [(start, street.start - 6), (street.end + 6, 150.0)]
    lines: list[tuple[float, bool, Color]] = []
    if not layout.median and not layout.rails:  # these separate the directions themselves
        lines += [(-0.12, False, city.center_line), (0.12, False, city.center_line)]
    for side in layout.sides:
        outer = side.lanes_start + side.lanes * layout.lane_width
        lanes = [side.lanes_start + k * layout.lane_width for k in range(1, side.lanes)]
        lines += [(side.sign * t, True, _MARKING) for t in lanes]
        if side.parking:
            lines.append((side.sign * outer, False, _MARKING))
    for start, end in free:
        for t, dashed, color in lines:
            parts.append(_line(layout, start, end, t, dashed, color))
        parts.append(_stop_line(layout, end, layout.right))
    return [part for part in parts if len(part.faces)]


def _line(layout: Layout, start: float, end: float, t: float, dashed: bool, color: Color) -> Mesh:
    extent = (t - 0.07, t + 0.07)
    if not dashed:
        quads = [layout.path.band((start, end), extent)]
    else:
        quads = [layout.path.band((s, s + 3), extent) for s in np.arange(start, end - 3, 8.0)]
    return _flat(np.concatenate(quads), color, "road") if quads else join([])


def _stop_line(layout: Layout, s: float, side: Side) -> Mesh:
    if not any(abs(street.start - 6 - s) < 1e-6 for street in layout.side_streets):
        return join([])
    quads = layout.path.band((s, s + 0.45), (side.lanes_start + 0.2, side.curb - 0.3))
    return _flat(quads, _MARKING, "road")


def _crosswalk(layout: Layout, s: float) -> Mesh:
    stripes = np.arange(-layout.left.curb + 0.4, layout.right.curb - _STRIPE, 2 * _STRIPE)
    bands = [layout.path.band((s, s + _CROSSWALK_LENGTH), (t, t + _STRIPE)) for t in stripes]
    return _flat(np.concatenate(bands), _MARKING, "road")


def _rail(layout: Layout, t: float) -> Mesh:
    parts = [
        _flat(
            layout.path.band((_STREET_BEGIN, STREET_END), (t - 1.25, t + 1.25)),
            (0.44, 0.42, 0.40),
            "road",
            Material.PAVING,
        )
    ]
    for offset in (-0.72, 0.72):
        groove = layout.path.band(
            (_STREET_BEGIN, STREET_END), (t + offset - 0.08, t + offset + 0.08)
        )
        parts.append(_flat(groove, (0.16, 0.15, 0.15), "road"))
        head = layout.path.band((_STREET_BEGIN, STREET_END), (t + offset - 0.03, t + offset + 0.04))
        parts.append(_flat(head, (0.62, 0.62, 0.64), "road"))
    return join(parts)


def _curb(layout: Layout, s: tuple[float, float], t: float, inner: float) -> Mesh:
    """Build the upright face of a curb at t and its stone toward `inner`."""
    stone = layout.path.band(s, (t, inner), CURB_HEIGHT)
    face = layout.path.band(s, (t, t), 0.0)
    face[:, 2:] += (0, CURB_HEIGHT, 0)
    upright = polygons(face, (0.55, 0.54, 0.52), LABEL_ID["sidewalk"])
    return join([upright, _flat(stone, (0.70, 0.69, 0.67), "sidewalk")])


def _sidewalk(layout: Layout, side: Side, city: City) -> list[Mesh]:
    parts = []
    sign = side.sign
    for s in layout.frontage(side, _STREET_BEGIN, STREET_END):
        quads = layout.path.band(s, (sign * side.curb, sign * side.front), CURB_HEIGHT)
        parts.append(_flat(quads, city.paving, "sidewalk", Material.PAVING))
        if side.verge:
            grass = (sign * (side.curb + 0.2), sign * (side.curb + side.verge))
            quads = layout.path.band(s, grass, CURB_HEIGHT)
            parts.append(_flat(quads, city.grass, "terrain", Material.GRASS))
        parts.append(_curb(layout, s, sign * side.curb, sign * (side.curb + 0.22)))
    return parts


def _side_street(layout: Layout, street: SideStreet, city: City) -> Mesh:
    parts = []
    walk = 3.0
    for side in layout.sides:
        if side.sign not in street.signs:
            continue
        out = (side.sign * side.curb, side.sign * _SIDE_STREET_REACH)
        quads = layout.path.band((street.start, street.end), out)
        parts.append(_flat(quads, city.asphalt, "road", Material.ASPHALT))
        middle = (side.sign * (side.curb + 5), out[1])
        line = layout.path.band((street.center - 0.07, street.center + 0.07), middle)
        parts.append(_flat(line, city.center_line, "road"))
        for near, far in ((street.start - walk, street.start), (street.end, street.end + walk)):
            quads = layout.path.band((near, far), out, CURB_HEIGHT)
            parts.append(_flat(quads, city.paving, "sidewalk", Material.PAVING))
            edge = street.start if far == street.start else street.end
            face = layout.path.band((edge, edge), out)
            face[:, 1] += (0, CURB_HEIGHT, 0)
            face[:, 2] += (0, CURB_HEIGHT, 0)
            parts.append(polygons(face, (0.6, 0.59, 0.57), LABEL_ID["sidewalk"]))
    return join(parts)


def _median(layout: Layout, city: City) -> list[Mesh]:
    parts = []
    half = layout.median - 0.35
    for s in layout.frontage(layout.left, _STREET_BEGIN, STREET_END):
        for sign in (-1, 1):
            parts.append(_curb(layout, s, sign * half, sign * (half - 0.2)))
        quads = layout.path.band(s, (-half + 0.2, half - 0.2), CURB_HEIGHT)
        parts.append(_flat(quads, city.grass, "terrain", Material.GRASS))
    return parts


def lot_floor(layout: Layout, side: Side, s: tuple[float, float], city: City) -> Mesh:
    """Build the grass of an open lot behind the sidewalk."""
    out = (side.sign * side.front, side.sign * (side.front + 30))
    return _flat(layout.path.band(s, out, 0.1), city.grass, "terrain", Material.GRASS)


def crosswalk_middle(s: float) -> float:
    """Return s of the axis of a crosswalk that starts at s."""
    return s + _CROSSWALK_LENGTH / 2
