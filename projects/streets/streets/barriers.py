"""Walls and fences between two ground points."""

from collections.abc import Callable

import numpy as np

from streets.cities import City
from streets.classes import LABEL_ID
from streets.draws import chance, pick, vary
from streets.items import Item
from streets.mesh import Color, Material
from streets.panels import Panels


def _item(panels: Panels, start: np.ndarray, end: np.ndarray, top: float) -> Item:
    return Item(
        mesh=panels.mesh(),
        footprint=np.stack([start, end, end, start])[:, [0, 2]],
        top=top,
        base=float(min(start[1], end[1])),
    )


def wall(
    start: np.ndarray, end: np.ndarray, street: np.ndarray, city: City, rng: np.random.Generator
) -> Item:
    """Build a free-standing wall of brick or plaster with a cap and pillars.

    Args:
        start, end: (3,) ground points.
        street: (3,) any point on the visible side.
        city: city with the colours.
        rng: draws height and colour.
    """
    panels = Panels(label=LABEL_ID["wall"], closed=False)
    panels.turn_to(start=start, end=end, outside=street)
    height, length = rng.uniform(1.7, 3.2), panels.length
    brick = chance(rng, 0.4)
    color = vary(rng, (0.56, 0.36, 0.30) if brick else pick(rng, city.trims + city.facades))
    dark = (color[0] * 0.8, color[1] * 0.8, color[2] * 0.8)
    material = Material.BRICK if brick else Material.PLASTER
    panels.add([(0, 0, length, height)], color, material=material)
    panels.add([(0, 0, length, 0.25)], dark, material=material)
    panels.add(panels.bars(4.0, 0.45, 0, height), dark, material=material)
    panels.add([(0, height - 0.12, length, height)], (0.66, 0.65, 0.62), ledge=True)
    return _item(panels, start, end, height)


def _railing(panels: Panels, height: float, color: Color) -> None:
    """Add metal bars in front of a dark hedge."""
    length = panels.length
    panels.add([(0, 0, length, height)], (0.16, 0.20, 0.13), material=Material.FOLIAGE)
    panels.add(panels.bars(0.22, 0.05, 0.05, height), color)
    panels.add([(0, y, length, y + 0.07) for y in (0.15, height - 0.12)], color)


def _boards(panels: Panels, height: float, color: Color) -> None:
    """Add a closed wooden fence."""
    dark = (color[0] * 0.62, color[1] * 0.62, color[2] * 0.62)
    panels.add([(0, 0, panels.length, height)], color, material=Material.WOOD)
    panels.add(panels.bars(0.3, 0.05, 0, height), dark)
    panels.add(panels.bars(2.4, 0.16, 0, height + 0.12), dark)
    panels.add([(0, height - 0.07, panels.length, height)], color, ledge=True)


def _wire(panels: Panels, height: float, color: Color) -> None:
    """Add wire mesh on posts, with plants behind it."""
    rows = np.arange(0.25, height, 0.3).tolist()
    panels.add([(0, 0, panels.length, height)], (0.33, 0.39, 0.27), material=Material.FOLIAGE)
    panels.add([(0, y, panels.length, y + 0.03) for y in rows], color)
    panels.add(panels.bars(0.4, 0.03, 0, height), color)
    panels.add(panels.bars(2.5, 0.1, 0, height + 0.1), (0.5, 0.52, 0.52))


_FENCES: tuple[tuple[Callable[[Panels, float, Color], None], Color], ...] = (
    (_railing, (0.30, 0.31, 0.32)),
    (_boards, (0.52, 0.38, 0.26)),
    (_boards, (0.84, 0.83, 0.79)),
    (_wire, (0.60, 0.64, 0.60)),
)


def fence(start: np.ndarray, end: np.ndarray, street: np.ndarray, rng: np.random.Generator) -> Item:
    """Build a railing, a wooden fence or wire mesh; for the arguments see `wall`."""
    panels = Panels(label=LABEL_ID["fence"], closed=False)
    panels.turn_to(start=start, end=end, outside=street)
    height = rng.uniform(1.0, 1.9)
    build, color = pick(rng, _FENCES)
    build(panels, height, vary(rng, color))
    return _item(panels, start, end, height)
