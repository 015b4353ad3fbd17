"""Bicycles and motorcycles, with or without riders.

Models stand on the origin and face +Z. Slot 0 is the paint; slots 1-4 are the rider's jacket,
trousers, skin and helmet.
"""

from functools import cache

import numpy as np

from streets.bodywork import cross_panels, solid
from streets.classes import LABEL_ID
from streets.mesh import Color, Emitter, Mesh, join, polygons
from streets.people import limb
from streets.shapes import box, circle

_FROM_BESIDE = (0.0, 0.45, -0.89)
_DARK: Color = (0.08, 0.08, 0.09)
_STEEL: Color = (0.50, 0.51, 0.53)
_WHITE: Color = (1.0, 1.0, 1.0)


def _upright(outlines: list[np.ndarray], color: Color, label: int, slot: int = -1) -> Mesh:
    """Build a face from outlines (z, y) in the vehicle's middle plane."""
    points = [np.stack([np.zeros(len(o)), o[:, 1], o[:, 0]], axis=1) for o in outlines]
    return polygons(np.stack(points), color, label, slot=slot, normal=_FROM_BESIDE, together=True)


def _bicycle() -> Mesh:
    label, radius = LABEL_ID["bicycle"], 0.34
    parts = []
    for z in (-0.53, 0.53):
        tread = box((-0.03, 0.03), (0, 2 * radius), (z - 0.05, z + 0.05))
        parts.append(polygons(tread[4:], _DARK, label))
        ring = [circle(radius, 12, center=(z, radius)), circle(0.28, 12, center=(z, radius))]
        parts.append(_upright(ring, _DARK, label))
        spokes = [
            limb((z - dz, radius - dy), (z + dz, radius + dy), 0.015, 0.015)
            for dz, dy in ((0.2, 0.2), (0.2, -0.2))
        ]
        parts.append(_upright(spokes, _STEEL, label))
    tubes = [
        ((-0.53, 0.34), (0.0, 0.30)),
        ((-0.53, 0.34), (-0.18, 0.85)),
        ((0.0, 0.30), (-0.18, 0.85)),
        ((0.0, 0.30), (0.36, 0.82)),
        ((-0.15, 0.78), (0.36, 0.82)),
        ((0.36, 0.95), (0.53, 0.34)),
    ]
    frame = [limb(a, b, 0.035, 0.035) for a, b in tubes]
    parts += [_upright([tube], _WHITE, label, slot=0) for tube in frame]
    bar = box((-0.28, 0.28), (0.98, 1.03), (0.33, 0.38))
    saddle = box((-0.09, 0.09), (0.86, 0.92), (-0.32, -0.06))
    parts.append(polygons(saddle, _DARK, label, inside=(0, 0.89, -0.2)))
    parts.append(polygons(bar, _DARK, label, inside=(0, 1.0, 0.35)))
    parts.append(
        cross_panels(
            [(-0.04, 0.72, 0.04, 0.80)], -0.5, (0.6, 0.05, 0.05), label, emitter=Emitter.TAIL_LIGHT
        )
    )
    return join(parts)


def _motorcycle() -> Mesh:
    label, radius = LABEL_ID["motorcycle"], 0.31
    parts = []
    for z in (-0.68, 0.72):
        outline = [(float(a), float(b)) for a, b in circle(radius, 10, center=(z, radius))]
        parts.append(solid(outline, 0.08, _DARK, label))
    engine = [(-0.45, 0.28), (-0.5, 0.62), (0.3, 0.62), (0.4, 0.3)]
    tank = [(-0.05, 0.6), (0.0, 0.92), (0.4, 0.98), (0.5, 0.75), (0.3, 0.6)]
    seat = [(-0.95, 0.72), (-0.95, 0.86), (0.05, 0.84), (0.05, 0.68)]
    fairing = [(0.42, 0.62), (0.36, 1.12), (0.52, 1.12), (0.74, 0.82), (0.66, 0.62)]
    bar, plate = box((-0.4, 0.4), (1.02, 1.08), (0.34, 0.42)), LABEL_ID["license plate"]
    parts += [
        solid([(0.5, 0.9), (0.75, 0.31), (0.82, 0.31), (0.6, 0.9)], 0.07, _STEEL, label),
        solid(engine, 0.2, (0.24, 0.24, 0.26), label),
        solid(fairing, 0.2, _WHITE, label, slot=0),
        solid(tank, 0.17, _WHITE, label, slot=0),
        solid(seat, 0.15, (0.12, 0.12, 0.13), label),
        polygons(bar, _DARK, label, inside=(0, 1.05, 0.38)),
        cross_panels(
            [(-0.11, 0.62, 0.11, 0.76)],
            -0.95,
            (0.62, 0.05, 0.05),
            label,
            emitter=Emitter.TAIL_LIGHT,
        ),
        cross_panels([(-0.09, 0.38, 0.09, 0.54)], -0.96, (0.85, 0.84, 0.75), plate),
        cross_panels(
            [(-0.1, 0.84, 0.1, 1.02)], 0.72, (0.92, 0.92, 0.86), label, emitter=Emitter.HEADLIGHT
        ),
    ]
    return join(parts)


@cache
def two_wheeler_model(kind: str) -> Mesh:
    """Return the mesh of a "bicycle" or a "motorcycle"."""
    return _bicycle() if kind == "bicycle" else _motorcycle()


EXTENT = {"bicycle": (0.25, 0.87), "motorcycle": (0.35, 1.05)}
