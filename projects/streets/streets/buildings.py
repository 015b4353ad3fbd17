"""Buildings: city blocks with storeys of windows, gabled houses, and the skyline behind them."""

from dataclasses import dataclass

import numpy as np

from streets.camera import View
from streets.cities import City
from streets.classes import LABEL_ID
from streets.draws import chance, pick, vary
from streets.items import Item
from streets.mesh import Color, Emitter, Material, Mesh, join, polygons
from streets.panels import UP, Panels

_BUILDING = LABEL_ID["building"]
_GROUND_FLOOR = 3.9  # metres, of a shop
_FOOT = 0.1  # metres; walls start at the surface of sidewalks and lawns
_PLINTH = 0.5
_PARAPET = 0.5
COARSE, REDUCED, FULL = 0, 1, 2  # levels of detail: only windows, no small parts, everything
# Offsets (a0, b0, a1, b1) of parts of a window from its edges, metres.
_LINTEL, _CAP = np.array([0, 0.22, 0, 0]), np.array([0, 0.1, 0, 0])
_SILL, _RAIL = np.array([-0.15, -0.2, 0.15, -0.08]), np.array([-0.4, -0.5, 0.4, 0.5])
_BALCONY_SHADOW = np.array([0, -0.35, 0, -0.9])
_SIGNS: tuple[Color, ...] = (
    (0.70, 0.15, 0.12),
    (0.12, 0.30, 0.55),
    (0.10, 0.38, 0.24),
    (0.85, 0.65, 0.15),
    (0.16, 0.16, 0.18),
    (0.86, 0.84, 0.80),
)


@dataclass(frozen=True, kw_only=True)
class Style:
    """Style of a building's facades.

    Attributes:
        wall, trim, glass, roof: colours.
        material: material of the wall.
        storey: height of a storey, metres.
        window: width and height of a window, metres.
        spacing: distance between window axes, metres.
        shop: whether the ground floor is a shop front.
        ribbon: whether windows form bands (offices).
        balconies: whether every second window column has balconies.
        roof_height: height of the pitched roof above the eaves, metres; 0 for a flat roof.
        lit: share of lit windows.
    """

    wall: Color
    trim: Color
    glass: Color
    roof: Color
    material: Material
    storey: float
    window: tuple[float, float]
    spacing: float
    shop: bool
    ribbon: bool
    balconies: bool
    roof_height: float
    lit: float

    @property
    def base(self) -> float:
        """Height at which the regular storeys start."""
        return _GROUND_FLOOR if self.shop else _PLINTH

    def eaves(self, storeys: int) -> float:
        """Return the height of the wall; a shop front replaces one of the storeys."""
        return self.base + (storeys - self.shop) * self.storey + _PARAPET


def city_style(city: City, rng: np.random.Generator, *, house: bool = False) -> Style:
    """Draw the style of an urban building, or of a family house."""
    brick = chance(rng, city.brick)
    window = (rng.uniform(0.95, 1.5), rng.uniform(1.3, 1.9))
    pitched = house or chance(rng, city.pitched_roofs)
    return Style(
        wall=vary(rng, (0.58, 0.34, 0.27) if brick else pick(rng, city.facades)),
        trim=vary(rng, pick(rng, city.trims), 0.03),
        glass=pick(rng, city.glass),
        roof=vary(rng, pick(rng, city.roofs)),
        material=Material.BRICK if brick else Material.PLASTER,
        storey=rng.uniform(*city.storey_height),
        window=window,
        spacing=window[0] + rng.uniform(0.8, 1.9),
        shop=not house and chance(rng, 0.55),
        ribbon=not house and not pitched and chance(rng, city.ribbons),
        balconies=not house and chance(rng, 0.2),
        roof_height=rng.uniform(2.2, 4.2) if pitched else 0.0,
        lit=rng.uniform(0.15, 0.5),
    )


def _shade(color: Color, factor: float) -> Color:
    r, g, b = color
    return (min(r * factor, 1), min(g * factor, 1), min(b * factor, 1))


def _facade(
    panels: Panels, storeys: int, style: Style, rng: np.random.Generator, detail: int
) -> None:
    """Build a wall with the parts of the level of detail."""
    top = style.eaves(storeys)
    panels.add([(0, _FOOT, panels.length, top)], style.wall, material=style.material)
    openings = _windows(panels.length, storeys - style.shop, style)
    if detail >= REDUCED and not style.shop and len(openings):
        openings, door = _with_door(openings, panels.length)
        panels.add(door + np.array([-0.15, 0, 0.15, 0.2]), style.trim)
        panels.add(door, _shade(style.roof, 0.55))
    if detail >= REDUCED:
        panels.add(openings + np.array([-0.1, -0.12, 0.1, 0.12]), style.trim)
    lit = rng.random(len(openings)) < style.lit
    panels.add(openings[~lit], style.glass, material=Material.GLASS)
    curtain = _shade(style.glass, 1.35)
    panels.add(openings[lit], curtain, material=Material.GLASS, emitter=Emitter.WINDOW)
    if detail >= FULL:
        _relief(panels, openings, style)
    if detail >= REDUCED:
        _cornice(panels, top, style)
        if style.shop:
            _shop_front(panels, style, rng)


def _windows(length: float, storeys: int, style: Style) -> np.ndarray:
    """Return window openings of the regular storeys, (N, 4) spans on the wall."""
    columns = max(int((length - 0.6) / style.spacing), 1)
    width, height = style.window
    if style.ribbon:
        columns, width = 1, length - 1.2
    middles = length * (np.arange(columns) + 0.5) / columns
    sills = style.base + style.storey * np.arange(storeys) + 0.32 * style.storey
    spans = np.empty((storeys, columns, 4), np.float32)
    spans[..., 0], spans[..., 1] = middles - width / 2, sills[:, None]
    spans[..., 2], spans[..., 3] = middles + width / 2, sills[:, None] + height
    return spans.reshape(-1, 4)


def _with_door(openings: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Replace the lowest window nearest to the middle with a door."""
    lowest = openings[:, 1] <= openings[:, 1].min() + 0.1
    distance = np.abs((openings[:, 0] + openings[:, 2]) / 2 - length / 2) + 1e6 * ~lowest
    chosen = int(distance.argmin())
    middle = (openings[chosen, 0] + openings[chosen, 2]) / 2
    door = np.array([[middle - 0.6, 0, middle + 0.6, 2.3]])
    return np.delete(openings, chosen, axis=0), door


def _relief(panels: Panels, openings: np.ndarray, style: Style) -> None:
    """Add shaded lintels, window bars, sunlit sills and balconies."""
    bars = openings.copy()
    bars[:, 0] = (openings[:, 0] + openings[:, 2]) / 2 - 0.035
    bars[:, 2] = bars[:, 0] + 0.07
    panels.add(openings[:, [0, 3, 2, 3]] - _LINTEL, _shade(style.glass, 0.5))
    panels.add(bars, style.trim)
    panels.add(openings[:, [0, 1, 2, 1]] + _SILL, style.trim, ledge=True)
    if style.balconies and not style.ribbon:
        rails = openings[::2, [0, 1, 2, 1]] + _RAIL
        panels.add(rails + _BALCONY_SHADOW, _shade(style.wall, 0.6))
        panels.add(rails, _shade(style.trim, 0.8))
        panels.add(rails[:, [0, 3, 2, 3]] - _CAP, style.trim, ledge=True)


def _cornice(panels: Panels, top: float, style: Style) -> None:
    """Add the band along the upper edge of the wall, with its shadow."""
    length = panels.length
    panels.add([(0, top - 0.7, length, top - 0.4)], _shade(style.wall, 0.8))
    panels.add([(0, top - 0.4, length, top)], style.trim)
    panels.add([(0, top - 0.1, length, top)], style.trim, ledge=True)


def _shop_front(panels: Panels, style: Style, rng: np.random.Generator) -> None:
    """Add shop windows, doors and a sign along the ground floor."""
    length = panels.length
    bays = max(int(length / 4.2), 1)
    edges = np.linspace(0, length, bays + 1)
    spans = np.zeros((bays, 4), np.float32)
    spans[:, 0], spans[:, 2] = edges[:-1] + 0.3, edges[1:] - 0.3
    glass = spans + np.array([0, 0.45, 0, 2.75])
    boards = spans + np.array([0, 2.85, 0, 3.5])
    doors = spans.copy()
    doors[:, 1:] = np.stack([np.full(bays, 0.05), doors[:, 0] + 1.3, np.full(bays, 2.4)], axis=1)
    doors[:, 0] += 0.3
    letters = [
        (a + 0.4 + 0.42 * k, 3.02, a + 0.7 + 0.42 * k, 3.32)
        for a, _, b, _ in spans.tolist()
        for k in range(int(max(b - a - 1.0, 0) / 0.55))
    ]
    sign = pick(rng, _SIGNS)
    ink: Color = (0.93, 0.92, 0.88) if sum(sign) < 1.6 else (0.15, 0.15, 0.16)
    open_now = rng.random(bays) < 0.75
    panels.add([(0, _FOOT, length, _GROUND_FLOOR)], _shade(style.wall, 0.72))
    panels.add(
        glass[open_now], (0.36, 0.38, 0.38), material=Material.GLASS, emitter=Emitter.DISPLAY
    )
    panels.add(glass[~open_now], (0.22, 0.24, 0.26), material=Material.GLASS)
    panels.add(doors[::2], (0.17, 0.17, 0.18))
    panels.add(boards, sign)
    panels.add(letters, ink, emitter=Emitter.DISPLAY)
    panels.add([(0, _GROUND_FLOOR - 0.3, length, _GROUND_FLOOR)], style.trim)


def building(
    corners: np.ndarray,
    storeys: int,
    style: Style,
    rng: np.random.Generator,
    view: View,
    *,
    detail: int = FULL,
    blind_sides: bool = False,
) -> Item:
    """Build a block on a convex footprint with four corners, without walls that face away.

    Args:
        corners: (4, 3) on the ground; front left, front right, back right, back left.
        storeys: number of storeys, including the ground floor.
        style: colours and dimensions.
        rng: draws differences between windows.
        view: position of the camera.
        detail: `FULL`, `REDUCED` or `COARSE`.
        blind_sides: whether side walls have no windows (in a closed row).
    """
    middle = corners.mean(axis=0)
    eaves = style.eaves(storeys)
    panels = Panels(label=_BUILDING, closed=True)
    for a, b in ((3, 0), (1, 2), (0, 1)):
        panels.turn_to(start=corners[a], end=corners[b], outside=2 * corners[a] - middle)
        if float(((view.eye - corners[a]) * panels.outward).sum()) <= 0:
            continue
        if blind_sides and (a, b) != (0, 1):
            panels.add([(0, _FOOT, panels.length, eaves)], style.wall, material=style.material)
        else:
            _facade(panels, storeys, style, rng, detail)
    parts = [panels.mesh()]
    if style.roof_height:
        parts.append(_gable(corners, eaves, style))
    return Item(
        mesh=join(parts),
        footprint=corners[:, [0, 2]],
        top=eaves + style.roof_height,
        base=float(corners[:, 1].min()),
        block=True,
    )


def _gable(corners: np.ndarray, eaves: float, style: Style) -> Mesh:
    """Build the roof slope toward the street, with a ridge parallel to it, and the gable walls."""
    wall_top, ridge_rise = eaves * UP, (eaves + style.roof_height) * UP
    front_left, front_right, back_right, back_left = corners
    ridge_left = (front_left + back_left) / 2 + ridge_rise
    ridge_right = (front_right + back_right) / 2 + ridge_rise
    inside = corners.mean(axis=0) + wall_top
    ends = np.array(
        [
            (front_left + wall_top, ridge_left, back_left + wall_top),
            (front_right + wall_top, ridge_right, back_right + wall_top),
        ]
    )
    # The roof overhangs the wall: its lower edge is slightly farther out and lower.
    overhang = 0.04 * (front_left - back_left) - 0.15 * UP + wall_top
    slope = np.array([(front_left + overhang, front_right + overhang, ridge_right, ridge_left)])
    return join(
        [
            polygons(ends, style.wall, _BUILDING, material=style.material, inside=inside),
            polygons(slope, style.roof, _BUILDING, material=Material.TILES, inside=inside),
        ]
    )
