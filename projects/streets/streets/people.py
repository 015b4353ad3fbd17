"""Pedestrians and riders: flat articulated figures that face the camera.

Figures stand on the origin in the plane z = 0 and are seen from -Z. Slots: 0 jacket, 1 trousers,
2 skin, 3 hair or helmet.
"""

from functools import cache

import numpy as np

from streets.classes import LABEL_ID
from streets.mesh import Color, Material, Mesh, join, polygons
from streets.shapes import circle

SKINS: tuple[Color, ...] = ((0.86, 0.66, 0.54), (0.72, 0.52, 0.40), (0.50, 0.34, 0.25))
HAIRS: tuple[Color, ...] = (
    (0.16, 0.11, 0.08),
    (0.36, 0.24, 0.14),
    (0.60, 0.48, 0.28),
    (0.55, 0.54, 0.53),
)
_WHITE: Color = (1.0, 1.0, 1.0)
_SHOE: Color = (0.12, 0.11, 0.11)
_JACKET, _TROUSERS, _SKIN, _HAIR = range(4)
_STRIDES = (0.03, 0.10, 0.17, 0.22)  # half the distance between the feet, metres
COATS = 3
POSES = len(_STRIDES) * COATS

Point = tuple[float, float]


def limb(a: Point, b: Point, width_a: float, width_b: float) -> np.ndarray:
    """Return a tapered bar between two points of the plane, (4, 2)."""
    start, end = np.asarray(a, float), np.asarray(b, float)
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    across = np.array([-along[1], along[0]]) / 2
    return np.stack(
        [
            start - across * width_a,
            end - across * width_b,
            end + across * width_b,
            start + across * width_a,
        ]
    )


def _part(
    outline: np.ndarray, label: int, slot: int, turn: float = 0.0, color: Color = _WHITE
) -> Mesh:
    """Build a part of the figure that faces left or right by `turn` in -1..1."""
    points = np.concatenate([outline, np.zeros((len(outline), 1))], axis=1)
    normal = np.array([turn, 0.35, -0.8])
    return polygons(
        points[None],
        color,
        label,
        material=Material.CLOTH,
        slot=slot,
        normal=normal / np.linalg.norm(normal),
    )


def _head(label: int, x: float, y: float, *, behind: bool = False) -> list[Mesh]:
    skull = circle(0.115, 10, center=(x, y)) * (1, 1)
    skull[:, 1] = y + (skull[:, 1] - y) * 1.2
    cap = skull[skull[:, 1] > y - (0.09 if behind else -0.03)]
    return [
        _part(limb((x, y - 0.2), (x, y - 0.05), 0.11, 0.11), label, _SKIN),
        _part(skull, label, _SKIN),
        _part(cap, label, _HAIR),
    ]


@cache
def pedestrian_model(pose: int) -> Mesh:
    """Build a walking or standing figure, 1.75 m tall, for a pose in 0..POSES-1."""
    label = LABEL_ID["person"]
    stride, coat = _STRIDES[pose % len(_STRIDES)], pose // len(_STRIDES)
    hip, shoulder = 0.92, 1.45
    parts = []
    for sign in (-1, 1):
        knee, foot = (sign * stride * 0.6, 0.5), (sign * stride * 1.25, 0.06)
        leg = (0.065 * sign, hip)
        parts += [
            _part(limb(knee, foot, 0.14, 0.09), label, _TROUSERS, 0.4 * sign),
            _part(limb(leg, knee, 0.19, 0.15), label, _TROUSERS, 0.4 * sign),
            _part(
                limb((foot[0] - 0.05, 0.04), (foot[0] + 0.14, 0.03), 0.08, 0.06),
                label,
                -1,
                color=_SHOE,
            ),
        ]
    hem = {0: hip - 0.02, 1: 0.62, 2: 0.74}[coat]
    flare = {0: 0.19, 1: 0.23, 2: 0.27}[coat]
    for sign in (-1, 1):
        half = np.array(
            [
                (0, hem),
                (sign * flare, hem),
                (sign * 0.17, 1.1),
                (sign * 0.22, 1.4),
                (sign * 0.12, 1.5),
                (0, 1.52),
            ]
        )
        parts.append(_part(half, label, _JACKET, 0.75 * sign))
    for sign in (-1, 1):
        swing = -sign * stride * 0.8
        elbow, hand = (sign * 0.26 + swing * 0.4, 1.16), (sign * 0.24 + swing, 0.9)
        parts += [
            _part(limb((sign * 0.2, shoulder), elbow, 0.12, 0.1), label, _JACKET, sign),
            _part(limb(elbow, hand, 0.1, 0.08), label, _JACKET, sign),
            _part(circle(0.05, 6, center=hand), label, _SKIN),
        ]
    if coat == COATS - 1:
        bag = np.array([(0.17, 0.82), (0.36, 0.82), (0.34, 1.05), (0.19, 1.05)])
        parts.append(_part(bag, label, -1, color=(0.30, 0.18, 0.12)))
    return join(parts + _head(label, 0.02, 1.62, behind=pose % 2 == 0))


@cache
def rider_from_behind(seat: float) -> Mesh:
    """Build a rider seen from behind or ahead, on a saddle at height `seat`."""
    label = LABEL_ID["rider"]
    parts = []
    for sign in (-1, 1):
        knee, foot = (sign * 0.17, seat - 0.22 - 0.08 * sign), (sign * 0.15, 0.22 - 0.1 * sign)
        parts += [
            _part(limb(knee, foot, 0.13, 0.1), label, _TROUSERS, 0.4 * sign),
            _part(limb((sign * 0.1, seat + 0.05), knee, 0.2, 0.15), label, _TROUSERS, 0.4 * sign),
            _part(
                limb((foot[0], foot[1]), (foot[0], foot[1] - 0.09), 0.1, 0.1),
                label,
                -1,
                color=_SHOE,
            ),
        ]
    for sign in (-1, 1):
        elbow, hand = (sign * 0.34, seat + 0.32), (sign * 0.27, seat + 0.16)
        parts += [
            _part(limb((sign * 0.2, seat + 0.55), elbow, 0.12, 0.1), label, _JACKET, sign),
            _part(limb(elbow, hand, 0.1, 0.08), label, _JACKET, sign),
        ]
    for sign in (-1, 1):
        half = np.array(
            [
                (0, seat - 0.04),
                (sign * 0.18, seat - 0.02),
                (sign * 0.19, seat + 0.3),
                (sign * 0.22, seat + 0.52),
                (sign * 0.1, seat + 0.62),
                (0, seat + 0.63),
            ]
        )
        parts.append(_part(half, label, _JACKET, 0.75 * sign))
    return join(parts + _head(label, 0.0, seat + 0.74, behind=True))


@cache
def rider_from_side(seat: float) -> Mesh:
    """Build a rider seen from the side, travelling to the right (+X)."""
    label = LABEL_ID["rider"]
    hip, shoulder, hand = (-0.2, seat + 0.06), (0.08, seat + 0.58), (0.36, seat + 0.15)
    parts = []
    for knee, foot in (((0.2, seat - 0.12), (0.06, 0.2)), ((0.12, seat - 0.3), (0.0, 0.36))):
        parts += [
            _part(limb(hip, knee, 0.2, 0.15), label, _TROUSERS),
            _part(limb(knee, foot, 0.14, 0.09), label, _TROUSERS),
            _part(
                limb(
                    (foot[0] - 0.04, foot[1] - 0.03), (foot[0] + 0.16, foot[1] - 0.04), 0.08, 0.06
                ),
                label,
                -1,
                color=_SHOE,
            ),
        ]
    elbow = (0.24, seat + 0.3)
    parts += [
        _part(limb((hip[0], hip[1] - 0.08), shoulder, 0.26, 0.28), label, _JACKET, -0.3),
        _part(limb(shoulder, elbow, 0.13, 0.1), label, _JACKET, 0.3),
        _part(limb(elbow, hand, 0.1, 0.08), label, _JACKET, 0.3),
    ]
    return join(parts + _head(label, 0.16, seat + 0.76))
