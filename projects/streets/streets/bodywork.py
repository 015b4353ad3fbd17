"""Parts of vehicles: extruded bodies, panels on their sides and ends, wheels, lamps.

Vehicles stand on the origin and face +Z.
"""

import numpy as np

from streets.classes import LABEL_ID
from streets.mesh import Color, Emitter, Material, Mesh, join, polygons
from streets.shapes import circle, prism

GLASS: Color = (0.17, 0.20, 0.24)
BLACK: Color = (0.09, 0.09, 0.10)
_TYRE: Color = (0.07, 0.07, 0.075)
_HUB: Color = (0.55, 0.56, 0.58)
_RED: Color = (0.62, 0.06, 0.06)
_LAMP: Color = (0.92, 0.92, 0.88)
_PLATE: Color = (0.90, 0.88, 0.74)

Profile = list[tuple[float, float]]
Rect = tuple[float, float, float, float]


def solid(
    profile: Profile,
    half_widths: float | list[float],
    color: Color,
    label: int,
    *,
    slot: int = -1,
    glazed: tuple[int, ...] = (),
) -> Mesh:
    """Extrude an outline; the strips listed in `glazed` are windows."""
    sides, strips = prism(profile, half_widths)
    inside = strips.reshape(-1, 3).mean(axis=0)
    body = [k for k in range(len(strips)) if k not in glazed]
    parts = [
        polygons(strips[body], color, label, slot=slot, inside=inside),
        polygons(sides, color, label, slot=slot, inside=inside),
    ]
    if glazed:
        glass = polygons(strips[list(glazed)], GLASS, label, material=Material.GLASS, inside=inside)
        parts.insert(1, glass)
    return join(parts)


def cross_panels(
    rects: list[Rect],
    z: float,
    color: Color,
    label: int,
    *,
    material: Material = Material.SMOOTH,
    emitter: Emitter = Emitter.NONE,
    slot: int = -1,
) -> Mesh:
    """Build rectangles (x0, y0, x1, y1) on the front (z > 0) or back (z < 0) of a vehicle."""
    spans = np.asarray(rects, np.float32)
    corners = np.stack([spans[:, [0, 2, 2, 0]], spans[:, [1, 1, 3, 3]]], axis=-1)
    points = np.concatenate([corners, np.full((*corners.shape[:2], 1), z, np.float32)], axis=-1)
    return polygons(
        points,
        color,
        label,
        material=material,
        emitter=emitter,
        slot=slot,
        inside=(0, 1, 0),
        together=True,
    )


def side_panels(
    shapes: list[np.ndarray] | np.ndarray,
    half_width: float,
    color: Color,
    label: int,
    *,
    material: Material = Material.SMOOTH,
    emitter: Emitter = Emitter.NONE,
    slot: int = -1,
    top_half_width: float | None = None,
    heights: tuple[float, float] = (0.0, 1.0),
) -> Mesh:
    """Build outlines (z, y) on both sides, which may lean in from heights[0] to heights[1]."""
    outlines = np.asarray(shapes, np.float32)
    low, high = heights
    share = np.clip((outlines[..., 1] - low) / (high - low), 0, 1)
    half = half_width + share * ((top_half_width or half_width) - half_width)
    parts = []
    for sign in (-1, 1):
        points = np.stack([sign * half, outlines[..., 1], outlines[..., 0]], axis=-1)
        parts.append(
            polygons(
                points,
                color,
                label,
                material=material,
                emitter=emitter,
                slot=slot,
                inside=(0, 0.5, 0),
                together=True,
            )
        )
    return join(parts)


def outlines(spans: list[Rect]) -> np.ndarray:
    """Convert spans (z0, y0, z1, y1) to outlines (N, 4, 2)."""
    array = np.asarray(spans, np.float32)
    return np.stack([array[:, [0, 2, 2, 0]], array[:, [1, 1, 3, 3]]], axis=-1)


def tyres(axles: list[float], radius: float, half_width: float, label: int) -> Mesh:
    """Build tyre treads as seen from ahead or behind; the body, painted later, hides their tops."""
    parts = []
    for z in axles:
        outline = [(float(a), float(b)) for a, b in circle(radius, 8, center=(z, radius))]
        for x in (-half_width + 0.12, half_width - 0.12):
            tyre = solid(outline, 0.11, _TYRE, label)
            parts.append(tyre.placed((x, 0, 0)))
    return join(parts)


def wheels(axles: list[float], radius: float, half_width: float, label: int) -> Mesh:
    """Build wheel arches, tyres and rims as seen from the side."""
    outer = half_width + 0.005
    arches = [circle(radius * 1.16, 12, center=(z, radius)) for z in axles]
    for arch in arches:
        arch[:, 1] = np.maximum(arch[:, 1], radius * 0.7)
    tyres = [circle(radius, 12, center=(z, radius)) for z in axles]
    rims = [circle(radius * 0.6, 10, center=(z, radius)) for z in axles]
    return join(
        [
            side_panels(arches, outer, BLACK, label),
            side_panels(tyres, outer, _TYRE, label),
            side_panels(rims, outer, _HUB, label),
        ]
    )


def lamps_and_plates(half_width: float, front: float, back: float, y: float, label: int) -> Mesh:
    """Build headlights, tail lights and licence plates."""
    w = half_width - 0.08
    heads = [(-w, y - 0.1, -w + 0.36, y + 0.06), (w - 0.36, y - 0.1, w, y + 0.06)]
    tails = [(-w, y - 0.08, -w + 0.26, y + 0.12), (w - 0.26, y - 0.08, w, y + 0.12)]
    plate = [(-0.26, y - 0.32, 0.26, y - 0.2)]
    plate_id = LABEL_ID["license plate"]
    return join(
        [
            cross_panels(heads, front, _LAMP, label, emitter=Emitter.HEADLIGHT),
            cross_panels(tails, back, _RED, label, emitter=Emitter.TAIL_LIGHT),
            cross_panels(plate, back, _PLATE, plate_id),
            cross_panels(plate, front, _PLATE, plate_id),
        ]
    )
