"""Trees, bushes, hedges and distant woods, built from leaf clusters that face the camera.

Flat plants are modelled in the plane z = 0 and seen from -Z. Slot 0 is the colour of the leaves.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from streets.camera import View
from streets.cities import City
from streets.classes import LABEL_ID
from streets.draws import pick, vary
from streets.items import Item, rectangle
from streets.mesh import Color, Material, Mesh, join, polygons

_LEAVES = LABEL_ID["vegetation"]
_CORNERS = 18
# Numbers of models of each kind of tree, and of other plants.
TREES = {"broadleaved": range(24), "fir": range(24, 30), "palm": range(30, 46)}
_BUSHES, _WOODS = 10, 8
_FRONDS = 13
_MODEL_HEIGHT = 8.5  # metres
_WOOD_LENGTH, _WOOD_HEIGHT = 30.0, 10.0
_SEED = 77  # fixed, because models belong to the renderer, not to a scene
_BARK: Color = (0.30, 0.25, 0.20)
_WHITE: Color = (1.0, 1.0, 1.0)
_TO_EYE = (0.0, 0.0, -1.0)
_DEEP = 0.6  # brightness of leaves in the shade of others


@dataclass(frozen=True)
class _Plant:
    """A model with the dimensions of its crown in metres."""

    mesh: Mesh
    radius: float
    stem: float


def _clusters(
    centers: np.ndarray, radii: np.ndarray, color: Color, rng: np.random.Generator, slot: int = -1
) -> Mesh:
    """Build ragged discs at (N, 2) with radii (N,), lit according to their position on a ball."""
    count = len(centers)
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    ragged = radii[:, None] * rng.uniform(0.78, 1.12, (count, _CORNERS))
    points = np.zeros((count, _CORNERS, 3), np.float32)
    points[..., 0] = centers[:, :1] + ragged * np.cos(angle)
    points[..., 1] = centers[:, 1:] + ragged * np.sin(angle)
    offset = centers - centers.mean(axis=0)
    outward = np.concatenate(
        [offset / (np.abs(offset).max() + 0.3), np.full((count, 1), -0.55)], axis=1
    )
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    height = (centers[:, 1] - centers[:, 1].min()) / max(float(np.ptp(centers[:, 1])), 0.3)
    shades = (0.68 + 0.38 * height + rng.uniform(-0.06, 0.06, count))[:, None] * np.asarray(color)
    return polygons(
        points,
        shades,
        _LEAVES,
        material=Material.FOLIAGE,
        slot=slot,
        facing=_TO_EYE,
        normal=outward,
    )


def _trunk(height: float, width: float) -> Mesh:
    """Build a tapered trunk of three upright strips, which make it appear round."""
    edges = np.array([-0.5, -0.2, 0.2, 0.5]) * width
    low = np.stack([edges, np.zeros(4), np.zeros(4)], axis=1)
    high = np.stack([0.6 * edges, np.full(4, height), np.zeros(4)], axis=1)
    strips = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    normals = np.array([(-0.8, 0, -0.6), (0, 0, -1), (0.8, 0, -0.6)])
    return polygons(strips, _BARK, _LEAVES, material=Material.WOOD, facing=_TO_EYE, normal=normals)


def _round_crown(
    stem: float, radius: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw centres (N, 2) and radii (N,) of the leaf clusters of a broad-leaved tree."""
    count = int(rng.integers(11, 16))
    share = np.sort(rng.uniform(0, 1, count))
    spread = 0.75 * np.sqrt(np.maximum(1 - (1.7 * share - 0.8) ** 2, 0.1))
    x = radius * spread * rng.uniform(-1, 1, count)
    y = stem + (_MODEL_HEIGHT - stem) * (0.12 + 0.78 * share)
    return np.stack([x, y], axis=1), radius * rng.uniform(0.38, 0.58, count)


def _fir(stem: float, radius: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw centres and radii of the tiers of a conifer."""
    share = np.linspace(0.1, 0.98, 12)
    x = 0.1 * radius * rng.uniform(-1, 1, len(share))
    y = stem + (_MODEL_HEIGHT - stem) * share
    radii = radius * (1.05 - share) * rng.uniform(0.9, 1.1, len(share)) + 0.03 * _MODEL_HEIGHT
    return np.stack([x, y], axis=1), radii


@cache
def _tree_model(variant: int) -> _Plant:
    rng = np.random.default_rng([_SEED, variant])
    if variant in TREES["palm"]:
        return _palm(rng)
    fir = variant in TREES["fir"]
    radius = _MODEL_HEIGHT * (0.19 if fir else rng.uniform(0.22, 0.32))
    stem = _MODEL_HEIGHT * (0.14 if fir else rng.uniform(0.25, 0.38))
    centers, radii = (_fir if fir else _round_crown)(stem, radius, rng)
    core = np.array([[0, stem + 0.42 * (_MODEL_HEIGHT - stem)]])
    deep = (_DEEP, _DEEP, _DEEP)
    mesh = join(
        [
            _trunk(stem + 0.3 * (_MODEL_HEIGHT - stem), 0.05 * _MODEL_HEIGHT),
            _clusters(core, np.array([0.7 * radius]), deep, rng, slot=0),
            _clusters(centers, radii, _WHITE, rng, slot=0),
        ]
    )
    return _Plant(mesh, radius, stem)


def _palm(rng: np.random.Generator) -> _Plant:
    """Build a bare stem under arching fronds."""
    stem = _MODEL_HEIGHT * rng.uniform(0.72, 0.86)
    radius = _MODEL_HEIGHT * rng.uniform(0.2, 0.26)
    reach = np.linspace(-1, 1, _FRONDS) * rng.uniform(0.85, 1.1, _FRONDS)
    rng.shuffle(reach)  # determines the painting order of fronds
    along = np.linspace(0, 1, 6)
    x = radius * reach[:, None] * along
    y = (1.25 - 0.75 * np.abs(reach))[:, None] * along - (0.4 + 0.75 * np.abs(reach))[:, None] * (
        along**2
    )
    half = 0.02 + 0.16 * np.sin(np.pi * along**0.8)
    points = np.zeros((_FRONDS, 12, 3), np.float32)
    points[..., 0] = np.concatenate([x, x[:, ::-1]], axis=1)
    points[..., 1] = stem + radius * np.concatenate([y + half, (y - half)[:, ::-1]], axis=1)
    shades = rng.uniform(0.62, 1.1, (_FRONDS, 1)) * np.asarray(_WHITE)
    normals = np.stack([0.6 * reach, np.full(_FRONDS, 0.6), np.full(_FRONDS, -0.53)], axis=1)
    fronds = polygons(
        points, shades, _LEAVES, material=Material.FOLIAGE, slot=0, facing=_TO_EYE, normal=normals
    )
    return _Plant(join([_trunk(stem, 0.04 * _MODEL_HEIGHT), fronds]), radius, stem)


@cache
def _bush_model(variant: int) -> Mesh:
    """Build a shrub that is 1 m wide."""
    rng = np.random.default_rng([_SEED, 1000 + variant])
    count, height = int(rng.integers(4, 8)), rng.uniform(0.45, 0.75)
    radii = rng.uniform(0.3, 0.45, count) * height
    x = rng.uniform(-0.35, 0.35, count)
    y = np.maximum(rng.uniform(0.25, 0.7, count) * height, radii)
    return _clusters(np.stack([x, y], axis=1), radii, _WHITE, rng, slot=0)


def tree(
    position: np.ndarray, city: City, rng: np.random.Generator, view: View, *, size: float = 1.0
) -> Item:
    """Build a tree of one of the city's kinds that faces the camera.

    Args:
        position: (3,) foot of the trunk.
        city: city with the kinds of trees and the colours of leaves.
        rng: draws shape and colour.
        view: position of the camera.
        size: factor of all dimensions; trees of size 1 are 6.5 to 10.5 m tall.
    """
    variants = [variant for kind in city.trees for variant in TREES[kind]]
    model = _tree_model(pick(rng, variants))
    tall = size * rng.uniform(0.76, 1.24)
    wide = tall * rng.uniform(0.85, 1.15)
    color = vary(rng, pick(rng, city.foliage), 0.1)
    heading, radius = view.bearing(position), model.radius * wide
    outline = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    crown = np.stack([np.cos(outline), np.sin(outline)], axis=1) * radius * 1.05
    return Item(
        mesh=model.mesh.placed(position, heading, scale=(wide, tall, 1), colors=(color,)),
        footprint=rectangle(position, heading, radius * 1.2, 0.05),
        top=0.95 * tall * _MODEL_HEIGHT,
        base=float(position[1]),
        crown=crown + position[[0, 2]],
        lift=model.stem * tall,
    )


def bush(
    position: np.ndarray, city: City, rng: np.random.Generator, view: View, *, width: float
) -> Item:
    """Build a shrub about half as high as wide."""
    heading = view.bearing(position)
    color = vary(rng, pick(rng, city.foliage), 0.1)
    model = _bush_model(int(rng.integers(_BUSHES)))
    return Item(
        mesh=model.placed(position, heading, scale=(width, width, 1), colors=(color,)),
        footprint=rectangle(position, heading, width / 2, 0.05),
        top=0.5 * width,
        base=float(position[1]),
    )


def hedge(
    start: np.ndarray, end: np.ndarray, height: float, city: City, rng: np.random.Generator
) -> Item:
    """Build a clipped hedge between two ground points."""
    color = vary(rng, pick(rng, city.foliage), 0.08)
    return Item(
        mesh=_leafy_strip(start, end, height, color, rng),
        footprint=np.stack([start, end, end, start])[:, [0, 2]],
        top=height,
        base=float(min(start[1], end[1])),
    )


def _deepened(color: Color) -> Color:
    r, g, b = color
    return (r * _DEEP, g * _DEEP, b * _DEEP)


def _leafy_strip(
    start: np.ndarray,
    end: np.ndarray,
    height: float,
    color: Color,
    rng: np.random.Generator,
    slot: int = -1,
) -> Mesh:
    """Build an upright sheet of leaves with a bumpy, lighter upper edge."""
    length = float(np.linalg.norm(end - start))
    steps = int(np.clip(length / (0.35 * height), 4, 60))
    foot = start + np.linspace(0, 1, steps)[:, None] * (end - start)
    ridge, step = foot.copy(), foot.copy()
    ridge[:, 1] += height * rng.uniform(0.86, 1.06, steps)
    step[:, 1] += height * rng.uniform(0.62, 0.8, steps)
    outlines = np.stack([np.concatenate([low, ridge[::-1]]) for low in (foot, step)])
    return polygons(
        outlines,
        np.array([_deepened(color), color]),
        _LEAVES,
        material=Material.FOLIAGE,
        slot=slot,
        normal=np.array([(0, 0.1, -1.0), (0, 0.9, -0.44)]),
    )


@cache
def _wood_model(variant: int) -> Mesh:
    """Build a leafy strip of `_WOOD_LENGTH` along +X with rounded crowns, `_WOOD_HEIGHT` tall."""
    rng = np.random.default_rng([_SEED, 2000 + variant])
    end, count = np.array([_WOOD_LENGTH, 0, 0]), 8
    strip = _leafy_strip(np.zeros(3), end, 0.75 * _WOOD_HEIGHT, _WHITE, rng, slot=0)
    places = _WOOD_LENGTH * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    centers = np.stack([places, _WOOD_HEIGHT * rng.uniform(0.55, 0.85, count)], axis=1)
    radii = _WOOD_HEIGHT * rng.uniform(0.26, 0.4, count)
    return join([strip, _clusters(centers, radii, _WHITE, rng, slot=0)])


def tree_line(
    start: np.ndarray, end: np.ndarray, height: float, city: City, rng: np.random.Generator
) -> Item:
    """Build a distant wood between two ground points; it casts no shadow."""
    color = _deepened(vary(rng, pick(rng, city.foliage), 0.05))
    along = end - start
    heading = float(np.arctan2(-along[2], along[0]))
    stretch = float(np.linalg.norm(along)) / _WOOD_LENGTH
    scale = (stretch, height / _WOOD_HEIGHT, 1.0)
    return Item(
        mesh=_wood_model(int(rng.integers(_WOODS))).placed(
            start, heading, scale=scale, colors=(color,)
        ),
        footprint=np.stack([start, end, end, start])[:, [0, 2]],
        top=0.0,
        base=float(min(start[1], end[1])),
    )
