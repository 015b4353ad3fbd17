"""The painting order against casting rays over the ground plan."""

import numpy as np
from streets.items import rectangle
from streets.occlusion import painting_order


def _apart(footprints: list[np.ndarray], candidate: np.ndarray) -> bool:
    """Whether a candidate keeps clear of all others (by their circumscribed circles)."""
    middle, radius = candidate.mean(0), np.linalg.norm(candidate - candidate.mean(0), axis=1).max()
    return all(
        np.linalg.norm(middle - other.mean(0))
        > radius + np.linalg.norm(other - other.mean(0), axis=1).max()
        for other in footprints
    )


def _first_hit(footprint: np.ndarray, direction: np.ndarray) -> float:
    """Distance along a ray from the origin to a polygon, infinite if it misses."""
    hits = [np.inf]
    for a, b in zip(footprint, np.roll(footprint, -1, axis=0), strict=True):
        system = np.stack([direction, a - b], axis=1)
        if abs(np.linalg.det(system)) > 1e-9:
            distance, share = np.linalg.solve(system, a)
            if distance > 0 and 0 <= share <= 1:
                hits.append(float(distance))
    return min(hits)


def test_last_painted_is_nearest_along_every_ray() -> None:
    checked = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        footprints: list[np.ndarray] = []
        while len(footprints) < 25:
            place = np.insert(rng.uniform((-25, 4), (25, 60)), 1, 0.0)
            shape = rectangle(place, rng.uniform(0, 3), rng.uniform(0.02, 1.5), rng.uniform(0.3, 6))
            if _apart(footprints, shape):
                footprints.append(shape)
        order = painting_order(np.stack(footprints), np.zeros(2))
        assert sorted(order) == list(range(25))
        for angle in np.linspace(-0.9, 0.9, 60):
            direction = np.array([np.sin(angle), np.cos(angle)])
            distances = np.array([_first_hit(footprints[k], direction) for k in order])
            hit = np.flatnonzero(np.isfinite(distances))
            if len(hit) > 1:
                assert hit[-1] == distances.argmin()
                checked += 1
    assert checked > 100


def test_a_pole_before_a_long_wall_is_painted_after_it() -> None:
    """The wall's middle is nearer to the camera than the pole, so distance alone would fail."""
    wall = np.array([(10, 10), (10, 60), (10, 60), (10, 10)], float)
    pole = np.array([(9, 45), (9.1, 45), (9.1, 45.1), (9, 45.1)], float)
    assert painting_order(np.stack([pole, wall]), np.zeros(2)).tolist() == [1, 0]


def test_a_pole_behind_a_long_wall_is_painted_before_it() -> None:
    wall = np.array([(-5, 20), (40, 20), (40, 20), (-5, 20)], float)
    pole = np.array([(2, 21), (2.1, 21), (2.1, 21.1), (2, 21.1)], float)
    assert painting_order(np.stack([wall, pole]), np.zeros(2)).tolist() == [1, 0]
