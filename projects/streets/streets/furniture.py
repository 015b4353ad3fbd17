"""Street furniture: poles and lamps, traffic lights, signs, bins.

Every function takes the world position of the foot and returns an `Item`. Flat parts face a heading
in radians, from +Z toward +X.
"""

from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from streets.classes import LABEL_ID
from streets.draws import chance, pick
from streets.items import Item, rectangle
from streets.mesh import Color, Emitter, Mesh, join, polygons
from streets.panels import UP
from streets.shapes import box, circle

_METAL: tuple[Color, ...] = ((0.45, 0.46, 0.48), (0.30, 0.32, 0.33), (0.24, 0.30, 0.27))
_POLE, _LIGHT, _SIGN = (LABEL_ID[n] for n in ("pole", "traffic light", "traffic sign"))
_EIGHTH_TURN = np.array([(1, 1), (-1, 1)]) / np.sqrt(2)
_HOUSING: Color = (0.10, 0.11, 0.11)
_SIGNALS: tuple[Color, ...] = ((0.95, 0.12, 0.08), (0.98, 0.66, 0.10), (0.15, 0.88, 0.42))


@lru_cache(maxsize=256)
def post(height: float, width: float, color: Color, *, bottom: float = 0.0) -> Mesh:
    """Build a round post of three strips that face -Z."""
    edges = np.array([-0.5, -0.2, 0.22, 0.5]) * width
    strips = np.array(
        [
            [(a, bottom, 0), (b, bottom, 0), (b, height, 0), (a, height, 0)]
            for a, b in pairwise(edges)
        ]
    )
    normals = np.array([(-0.8, 0, -0.6), (0, 0, -1), (0.8, 0, -0.6)])
    return polygons(strips, color, _POLE, normal=normals)


def _item(mesh: Mesh, position: np.ndarray, heading: float, top: float, width: float) -> Item:
    return Item(
        mesh=mesh.placed(position, heading),
        footprint=rectangle(position, heading, width / 2, 0.03),
        top=top,
        base=float(position[1]),
    )


def street_lamp(
    position: np.ndarray, toward: float, rng: np.random.Generator
) -> tuple[Item, np.ndarray]:
    """Build a lamp post whose arm reaches over the road.

    Args:
        position: (3,) foot.
        toward: heading from the post to the road.
        rng: draws dimensions.

    Returns:
        The item and the world position of the lamp.
    """
    height, reach = rng.uniform(6.5, 8.5), rng.uniform(1.4, 2.4)
    stem, boom = _lamp_model(pick(rng, _METAL))
    stem = stem.placed(position, scale=(1, height, 1))
    boom = boom.placed(position + height * UP, toward, scale=(1, 1, reach))
    lamp = np.asarray(position) + np.array(
        [np.sin(toward) * reach, height - 0.2, np.cos(toward) * reach]
    )
    item = Item(
        mesh=join([stem, boom]),
        footprint=rectangle(position, 0.0, 0.1, 0.1),
        top=height,
        base=float(position[1]),
    )
    return item, lamp


@cache
def _lamp_model(color: Color) -> tuple[Mesh, Mesh]:
    """Build a post of height 1 and, on the ground, an arm of length 1 along +Z with its lamp."""
    arm = box((-0.05, 0.05), (-0.1, 0), (0, 1))
    head = box((-0.16, 0.16), (-0.16, -0.02), (0.8, 1.2))
    glow = head[2:3] - np.array([0, 0.02, 0], np.float32)
    boom = [
        polygons(arm, color, _POLE, inside=(0, -0.05, 0.5)),
        polygons(head, color, _POLE, inside=(0, -0.1, 1)),
        polygons(glow, (0.93, 0.92, 0.85), _POLE, emitter=Emitter.STREET_LAMP),
    ]
    return join([post(1.0, 0.17, color), post(0.14, 0.24, color)]), join(boom)


@lru_cache(maxsize=64)
def _signal_head(x: float, y: float, lit: int) -> Mesh:
    """Build a housing of three lamps, 0.34 m by 0.95 m, centred at (x, y) and seen from -Z."""
    case = np.array(
        [[(x - 0.19, y - 0.52), (x + 0.19, y - 0.52), (x + 0.19, y + 0.52), (x - 0.19, y + 0.52)]]
    )
    parts = [polygons(_lift(case), _HOUSING, _LIGHT)]
    for k, (color, height) in enumerate(zip(_SIGNALS, (0.32, 0.0, -0.32), strict=True)):
        lens = circle(0.125, 10, center=(x, y + height))
        shown = color if k == lit else tuple(0.22 * c for c in color)
        emitter = Emitter.SIGNAL if k == lit else Emitter.NONE
        parts.append(polygons(_lift(lens[None]), np.array(shown), _LIGHT, emitter=emitter))
    return join(parts)


def _lift(points: np.ndarray) -> np.ndarray:
    """Convert points (..., 2) of the plane to points at z = 0."""
    return np.concatenate([points, np.zeros((*points.shape[:-1], 1))], axis=-1)


def traffic_light(position: np.ndarray, heading: float, lit: int, *, reach: float = 0.0) -> Item:
    """Build a traffic light for traffic that drives along `heading`.

    Args:
        position: (3,) foot of the post.
        heading: driving direction of the traffic.
        lit: 0 for red, 1 for amber, 2 for green.
        reach: length of an arm to the left with a second head, 0 for none.
    """
    color = _METAL[1]
    height = 5.8 if reach else 3.5
    parts = [post(height, 0.15, color), _signal_head(0.0, 2.9, lit)]
    if reach:
        arm = box((-reach, 0), (height - 0.16, height - 0.04), (-0.05, 0.05))
        parts.append(polygons(arm, color, _POLE, inside=(-reach / 2, height - 0.1, 0)))
        parts.append(_signal_head(-reach + 0.3, height - 0.35, lit))
    return _item(join(parts), position, heading, height, 0.3)


def _panel(outline: np.ndarray, color: Color) -> Mesh:
    return polygons(_lift(np.asarray(outline)[None]), color, _SIGN)


@cache
def _symbol(kind: str) -> Mesh:
    """Build a sign of one of the kinds in `SIGNS`, centred at the origin."""
    red, white, blue = (0.78, 0.08, 0.08), (0.93, 0.93, 0.92), (0.10, 0.25, 0.62)
    black, yellow = (0.08, 0.08, 0.08), (0.95, 0.74, 0.12)
    triangle = circle(1.0, 3)[:, ::-1]
    bar = np.array([(-0.22, -0.06), (0.22, -0.06), (0.22, 0.06), (-0.22, 0.06)])
    arrow = np.array(
        [
            (-0.06, -0.2),
            (0.06, -0.2),
            (0.06, 0.05),
            (0.17, 0.05),
            (0, 0.24),
            (-0.17, 0.05),
            (-0.06, 0.05),
        ]
    )
    letter = np.array(
        [(-0.1, -0.2), (0, -0.2), (0, -0.02), (0.16, -0.02), (0.16, 0.2), (-0.1, 0.2)]
    )
    layers: dict[str, list[tuple[np.ndarray, Color]]] = {
        "speed": [(circle(0.36, 14), red), (circle(0.28, 14), white), (bar * (0.6, 2), black)],
        "no entry": [(circle(0.36, 14), red), (bar, white)],
        "yield": [(triangle * -0.44, red), (triangle * -0.28, white)],
        "warning": [(triangle * 0.44, red), (triangle * 0.3, white), (circle(0.07, 6), black)],
        "stop": [(circle(0.4, 8), white), (circle(0.36, 8), red), (bar, white)],
        "arrow": [(circle(0.36, 14), blue), (arrow, white)],
        "priority": [(circle(0.42, 4), white), (circle(0.3, 4), yellow)],
        "parking": [(circle(0.46, 4) @ _EIGHTH_TURN, blue), (letter, white)],
    }
    return join([_panel(outline, color) for outline, color in layers[kind]])


SIGNS = ("speed", "no entry", "yield", "warning", "stop", "arrow", "priority", "parking")


def traffic_sign(position: np.ndarray, heading: float, rng: np.random.Generator) -> Item:
    """Build a post with one or two signs for traffic that drives along `heading`."""
    height = rng.uniform(2.3, 2.9)
    stem = post(1.0, 0.08, _METAL[0]).placed((0, 0, 0), scale=(1, height + 0.4, 1))
    parts = [stem, _symbol(pick(rng, SIGNS)).placed((0, height, 0))]
    if chance(rng, 0.25):
        parts.append(_symbol(pick(rng, SIGNS)).placed((0, height - 0.85, 0)))
    return _item(join(parts), position, heading, height, 0.8)


def direction_board(position: np.ndarray, heading: float, rng: np.random.Generator) -> Item:
    """Build a large board with place names beside the road, on two posts."""
    width, height, bottom = rng.uniform(2.0, 3.2), rng.uniform(1.2, 1.8), 2.4
    color = pick(rng, ((0.08, 0.30, 0.62), (0.06, 0.42, 0.26), (0.90, 0.76, 0.18)))
    ink = (0.94, 0.94, 0.92) if color[0] < 0.5 else (0.1, 0.1, 0.1)
    outline = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - (width / 2, -bottom)
    rows = np.arange(0.25, height - 0.2, 0.42)
    text = np.array(
        [
            [
                (-width / 2 + 0.25, bottom + y),
                (w, bottom + y),
                (w, bottom + y + 0.2),
                (-width / 2 + 0.25, bottom + y + 0.2),
            ]
            for y, w in zip(rows, rng.uniform(-0.1, width / 2 - 0.25, len(rows)), strict=True)
        ]
    )
    posts = [post(bottom + 0.5, 0.12, _METAL[0]).placed((x, 0, 0)) for x in (-width / 3, width / 3)]
    parts = [*posts, _panel(outline, color), polygons(_lift(text), ink, _SIGN, together=True)]
    return _item(join(parts), position, heading, bottom + height, width)


def bollard(position: np.ndarray, heading: float) -> Item:
    """Build a low post at the curb."""
    parts = [post(0.9, 0.14, (0.30, 0.30, 0.32)), post(0.82, 0.14, (0.86, 0.85, 0.82), bottom=0.7)]
    return _item(join(parts), position, heading, 0.9, 0.2)


def bin_or_box(position: np.ndarray, heading: float, rng: np.random.Generator) -> Item:
    """Build a waste bin or a switch box, labelled "static", which is not a train class."""
    width, height = rng.uniform(0.35, 0.75), rng.uniform(0.8, 1.3)
    color = pick(rng, ((0.25, 0.36, 0.28), (0.52, 0.53, 0.52), (0.78, 0.48, 0.14)))
    body = box((-width / 2, width / 2), (0, height), (-width / 2, width / 2))
    mesh = polygons(body, color, LABEL_ID["static"], inside=(0, height / 2, 0))
    return Item(
        mesh=mesh.placed(position, heading),
        footprint=rectangle(position, heading, width / 2, width / 2),
        top=height,
        base=float(position[1]),
    )
