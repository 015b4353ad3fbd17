"""Motor vehicles as solid bodies: cars, vans, trucks, buses and trams.

Models stand on the origin and face +Z. Slot 0 is the paint of the individual vehicle.
"""

from functools import cache
from itertools import pairwise

import numpy as np

from streets.bodywork import (
    BLACK,
    GLASS,
    Profile,
    Rect,
    cross_panels,
    lamps_and_plates,
    outlines,
    side_panels,
    solid,
    tyres,
    wheels,
)
from streets.classes import LABEL_ID
from streets.mesh import Color, Emitter, Material, Mesh, join, polygons
from streets.shapes import box

_WHITE: Color = (1.0, 1.0, 1.0)
_DARK: Color = (0.13, 0.13, 0.14)
_PAINT = 0  # slot
TRAM_SECTION = 8.6  # metres
TRAM_GAP = 0.7


def _car(body: Profile, cabin: Profile, axles: list[float], panes: list[Profile]) -> Mesh:
    """Build a car from its side view; cabin strips 0 and 2 are the rear window and windscreen."""
    label = LABEL_ID["car"]
    half, radius = 0.9, 0.33
    front, back = max(z for z, _ in body), min(z for z, _ in body)
    belt, roof = cabin[0][1], max(y for _, y in cabin)
    widths = [0.85, 0.68, 0.68, 0.85]
    under = box((-0.8, 0.8), (0.16, 0.4), (back + 0.15, front - 0.15))
    doors = [(z - 0.015, 0.42, z + 0.015, belt - 0.02) for z in (axles[0] + 0.55, 0.15)]
    return join(
        [
            polygons(under, BLACK, label, inside=(0, 0.3, 0)),
            tyres(axles, radius, half, label),
            solid(body, half, _WHITE, label, slot=_PAINT),
            solid(cabin, widths, _WHITE, label, slot=_PAINT, glazed=(0, 2)),
            *(
                side_panels([np.array(pane)], 0.85, GLASS, label, material=Material.GLASS,
                            top_half_width=0.68, heights=(belt, roof))
                for pane in panes
            ),
            side_panels(outlines(doors), half, (0.55, 0.55, 0.55), label, slot=_PAINT),
            side_panels(outlines([(back + 0.2, 0.27, front - 0.2, 0.36)]), half, BLACK, label),
            wheels(axles, radius, half, label),
            cross_panels([(-0.8, 0.28, 0.8, 0.42)], front, BLACK, label),
            cross_panels([(-0.45, 0.5, 0.45, 0.64)], front, BLACK, label),
            cross_panels([(-0.8, 0.28, 0.8, 0.40)], back, BLACK, label),
            lamps_and_plates(half, front, back, 0.68, label),
        ]
    )  # fmt: skip


def _sedan() -> Mesh:
    return _car(
        [(-2.25, 0.28), (-2.25, 0.8), (-2.1, 0.95), (1.1, 0.94), (2.1, 0.78), (2.25, 0.62),
         (2.25, 0.28)],
        [(-1.8, 0.93), (-1.15, 1.43), (0.3, 1.45), (1.15, 0.93)],
        [-1.35, 1.4],
        [[(-1.45, 0.97), (-1.05, 1.36), (-0.3, 1.38), (-0.3, 0.97)],
         [(-0.2, 0.97), (-0.2, 1.38), (0.25, 1.38), (0.9, 0.97)]],
    )  # fmt: skip


def _hatchback() -> Mesh:
    return _car(
        [(-1.95, 0.28), (-1.95, 0.9), (-1.85, 0.98), (1.05, 0.96), (1.85, 0.8), (1.98, 0.62),
         (1.98, 0.28)],
        [(-1.9, 0.96), (-1.5, 1.48), (0.25, 1.52), (1.1, 0.95)],
        [-1.2, 1.25],
        [[(-1.6, 1.0), (-1.35, 1.42), (-0.35, 1.45), (-0.35, 1.0)],
         [(-0.25, 1.0), (-0.25, 1.45), (0.2, 1.45), (0.85, 1.0)]],
    )  # fmt: skip


def _suv() -> Mesh:
    return _car(
        [(-2.2, 0.34), (-2.2, 1.05), (-2.1, 1.12), (1.1, 1.08), (2.1, 0.98), (2.22, 0.8),
         (2.22, 0.34)],
        [(-2.12, 1.08), (-1.85, 1.72), (0.35, 1.74), (1.0, 1.08)],
        [-1.35, 1.4],
        [[(-1.9, 1.13), (-1.72, 1.64), (-0.4, 1.66), (-0.4, 1.13)],
         [(-0.28, 1.13), (-0.28, 1.66), (0.3, 1.66), (0.78, 1.13)]],
    )  # fmt: skip


def _van() -> Mesh:
    return _car(
        [(-2.5, 0.3), (-2.5, 1.2), (-2.48, 1.25), (1.6, 1.15), (2.2, 1.0), (2.45, 0.75),
         (2.45, 0.3)],
        [(-2.48, 1.15), (-2.4, 2.2), (0.9, 2.25), (1.75, 1.12)],
        [-1.6, 1.55],
        [[(0.1, 1.25), (0.1, 1.95), (0.85, 1.95), (1.4, 1.25)]],
    )  # fmt: skip


def _carriage(
    length: float,
    height: float,
    label: int,
    *,
    sill: float,
    panes: int,
    nose: float = 0.0,
    stripe: Color | None = None,
) -> Mesh:
    """Build a bus or tram section: a box with a row of windows, doors and glazed ends."""
    half, back, front, low = 1.26, -length / 2, length / 2, 0.32
    profile = [
        (back, low), (back, sill), (back + nose, height - 0.1), (back + nose + 0.15, height),
        (front - nose - 0.15, height), (front - nose, height - 0.1), (front, sill), (front, low),
    ]  # fmt: skip
    edges = np.linspace(back + nose + 0.35, front - nose - 0.35, panes + 1)
    top = height - 0.5
    windows: list[Rect] = [(a + 0.06, sill, b - 0.06, top) for a, b in pairwise(edges)]
    doors: list[Rect] = [
        (edges[k] + 0.1, low + 0.08, edges[k] + 1.3, top)
        for k in range(1, panes, max(panes // 3, 2))
    ]
    parts = [
        polygons(box((-1.1, 1.1), (0.1, 0.5), (back + 0.4, front - 0.4)), BLACK, label,
                 inside=(0, 0.3, 0)),
        solid(profile, half, _WHITE, label, slot=_PAINT, glazed=(5,)),
        side_panels(outlines(windows), half, GLASS, label, material=Material.GLASS,
                    emitter=Emitter.WINDOW),
        side_panels(outlines(doors), half, (0.24, 0.26, 0.29), label, material=Material.GLASS),
    ]  # fmt: skip
    if stripe:
        bands: list[Rect] = [(back, low, front, low + 0.28)]
        parts.append(side_panels(outlines(bands), half, stripe, label))
    return join(parts)


def _bus() -> Mesh:
    label = LABEL_ID["bus"]
    board = [(-0.8, 2.62, 0.8, 2.9)]
    return join(
        [
            tyres([-3.2, 3.4], 0.48, 1.26, label),
            _carriage(11.2, 3.05, label, sill=1.15, panes=7),
            wheels([-3.2, 3.4], 0.48, 1.26, label),
            cross_panels([(-1.1, 0.35, 1.1, 0.6)], -5.6, BLACK, label),
            cross_panels([(-1.05, 1.45, 1.05, 2.5)], -5.6, GLASS, label, material=Material.GLASS),
            cross_panels([(-0.7, 0.95, 0.7, 1.25)], -5.6, BLACK, label),
            lamps_and_plates(1.26, 5.6, -5.6, 0.85, label),
            cross_panels(board, 5.6, (0.95, 0.65, 0.12), label, emitter=Emitter.DISPLAY),
            cross_panels(board, -5.6, (0.95, 0.65, 0.12), label, emitter=Emitter.DISPLAY),
        ]
    )


def _tram_head() -> Mesh:
    """Build the leading section of a tram, which is also the trailing one when rotated."""
    label = LABEL_ID["train"]
    front = TRAM_SECTION / 2
    board = [(-0.7, 2.85, 0.7, 3.1)]
    return join(
        [
            _carriage(TRAM_SECTION, 3.35, label, sill=1.25, panes=5, nose=0.3, stripe=_DARK),
            lamps_and_plates(1.2, front, -front, 0.9, label),
            cross_panels(board, front - 0.2, (0.95, 0.65, 0.12), label, emitter=Emitter.DISPLAY),
        ]
    )


def _tram_middle() -> Mesh:
    """Build the middle section of a tram, with bellows at its ends."""
    label = LABEL_ID["train"]
    half = TRAM_SECTION / 2
    bellows = box((-1.1, 1.1), (0.4, 3.15), (-half - TRAM_GAP, half + TRAM_GAP))
    return join(
        [
            polygons(bellows, _DARK, label, inside=(0, 1.5, 0)),
            _carriage(TRAM_SECTION, 3.35, label, sill=1.25, panes=5, stripe=_DARK),
        ]
    )


def _truck() -> Mesh:
    label = LABEL_ID["truck"]
    cab = [(1.9, 0.45), (1.9, 2.6), (3.6, 2.65), (4.0, 1.6), (4.05, 0.45)]
    cargo = box((-1.25, 1.25), (1.05, 3.4), (-4.0, 1.7))
    ribs: list[Rect] = [(z, 1.1, z + 0.05, 3.35) for z in np.arange(-3.4, 1.6, 0.95)]
    doors = [(-0.02, 1.1, 0.02, 3.35)]
    return join(
        [
            polygons(box((-0.9, 0.9), (0.5, 1.05), (-3.9, 3.6)), BLACK, label, inside=(0, 0.8, 0)),
            tyres([-2.9, -1.7, 2.9], 0.5, 1.2, label),
            solid(cab, 1.2, _WHITE, label, slot=_PAINT, glazed=(2,)),
            side_panels([np.array([(2.3, 1.5), (2.3, 2.3), (3.2, 2.3), (3.45, 1.5)])], 1.2, GLASS,
                        label, material=Material.GLASS),
            polygons(cargo, (0.86, 0.86, 0.84), label, slot=1, inside=(0, 2, -1)),
            side_panels(outlines(ribs), 1.25, (0.72, 0.72, 0.72), label, slot=1),
            cross_panels(doors, -4.0, (0.4, 0.4, 0.4), label),
            cross_panels([(-1.2, 0.55, 1.2, 0.95)], -4.0, (0.3, 0.3, 0.32), label),
            wheels([-2.9, -1.7, 2.9], 0.5, 1.2, label),
            lamps_and_plates(1.2, 4.05, -4.01, 0.85, label),
        ]
    )  # fmt: skip


_MODELS = {
    "sedan": (_sedan, (0.92, 2.3)),
    "hatchback": (_hatchback, (0.92, 2.0)),
    "suv": (_suv, (0.93, 2.25)),
    "van": (_van, (0.93, 2.5)),
    "truck": (_truck, (1.27, 4.05)),
    "bus": (_bus, (1.28, 5.65)),
    "tram_head": (_tram_head, (1.28, TRAM_SECTION / 2)),
    "tram_middle": (_tram_middle, (1.28, TRAM_SECTION / 2 + TRAM_GAP - 0.05)),
}
CARS = ("sedan", "hatchback", "suv")


@cache
def vehicle_model(name: str) -> Mesh:
    """Return the mesh of a model in `_MODELS`."""
    return _MODELS[name][0]()


def vehicle_extent(name: str) -> tuple[float, float]:
    """Return half the width and half the length in metres."""
    return _MODELS[name][1]
