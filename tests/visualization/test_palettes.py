"""Colours can be told apart, also by colour-blind eyes, and values keep their order."""

import cv2
import numpy as np
import pytest

from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import PALETTES as NAMES
from langdg_d2.visualization import palette_named, palettes_for

PALETTES = {name: palette_named(name, CITYSCAPES_19) for name in NAMES}

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009): total loss of a cone, in linear RGB.
SIMULATIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Pairs that such eyes confuse.
MERGED = {
    "protanopia": [[163, 92, 40], [104, 121, 40]],
    "deuteranopia": [[163, 92, 40], [104, 121, 40]],
    "tritanopia": [[120, 140, 200], [110, 145, 150]],
}
# How many times as far apart the safe colours are as the benchmark's, at least.
LEAST_GAIN = {"normal": 1.0, "protanopia": 2.5, "deuteranopia": 2.5, "tritanopia": 2.0}


def lab(colors: list, simulation: str = "normal") -> np.ndarray:
    """CIELAB of sRGB colours (n, 3) in 0..255 as such eyes see them."""
    srgb = np.asarray(colors) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIMULATIONS[simulation]), 0, 1)
    return cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_LRGB2Lab)[0]


def least_distance(colors: list, simulation: str) -> float:
    points = lab(colors, simulation)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return distances[np.triu_indices(len(points), 1)].min()


def test_simulations_leave_greys_alone_and_merge_what_such_eyes_confuse() -> None:
    greys = [[v, v, v] for v in (0, 80, 255)]
    for simulation in SIMULATIONS:
        assert np.allclose(lab(greys, simulation), lab(greys), atol=0.1)
    for simulation, pair in MERGED.items():
        assert least_distance(pair, simulation) < least_distance(pair, "normal") / 4


@pytest.mark.parametrize("simulation", SIMULATIONS)
def test_safe_colours_are_far_apart_for_everybody_and_farther_than_the_benchmarks(
    simulation: str,
) -> None:
    safe, default = (
        least_distance(PALETTES[name].colors, simulation) for name in ("colorblind", "classes")
    )
    assert safe >= 17
    assert safe > LEAST_GAIN[simulation] * default


@pytest.mark.parametrize("simulation", SIMULATIONS)
def test_large_areas_differ_and_show_on_asphalt(simulation: str) -> None:
    names = ("road", "building", "wall", "vegetation", "sky")
    colors = np.array(PALETTES["colorblind"].colors)[[CITYSCAPES_19.names.index(n) for n in names]]
    assert least_distance(colors, simulation) >= 24
    for grey in (60, 110, 160):
        overlay = lab(0.6 * colors + 0.4 * grey, simulation)
        assert np.linalg.norm(overlay - lab([[grey] * 3], simulation), axis=-1).min() >= 10


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Colour differences of CIELAB colours (..., 3), after Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 1.5 - 0.5 * np.sqrt(c7 / (c7 + 25**7))
    c1, c2 = np.hypot(g * a1, b1), np.hypot(g * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, g * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    dl = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    r = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(np.radians(rotation))
    return np.sqrt(dl**2 + dc**2 + dh**2 + r * dc * dh)


@pytest.mark.parametrize("simulation", SIMULATIONS)
def test_frequent_classes_differ_by_fifteen_of_ciede2000(simulation: str) -> None:
    # A pair of the paper's table 1.
    pair = np.array([[50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485]])
    assert ciede2000(*pair) == pytest.approx(2.0425, abs=1e-4)
    names = ("road", "building", "vegetation", "car", "sidewalk", "sky", "person", "pole")
    ids = [CITYSCAPES_19.names.index(name) for name in (*names, "terrain", "fence")]
    colors = lab(np.array(PALETTES["colorblind"].colors)[ids].tolist(), simulation)
    one, other = np.triu_indices(len(ids), 1)
    assert ciede2000(colors[one], colors[other]).min() >= 15


def test_safe_colours_stand_out_from_the_white_of_the_legend() -> None:
    white = lab([[255, 255, 255]])
    assert np.linalg.norm(lab(PALETTES["colorblind"].colors) - white, axis=-1).min() > 10


def test_the_default_is_the_benchmarks_and_all_name_all_classes() -> None:
    assert PALETTES["classes"].colors == CITYSCAPES_19.colors
    for palette in PALETTES.values():
        assert palette.names == CITYSCAPES_19.names
        assert len(set(palette.colors)) == len(CITYSCAPES_19)
        assert palette.metadata.stuff_colors[3] == palette.colors[3]
        assert palette.metadata.stuff_classes == list(CITYSCAPES_19.names)


@pytest.mark.parametrize("name", PALETTES)
def test_classes_get_their_colours_and_what_is_none_is_black(name: str) -> None:
    classes = np.array([[0, 18], [255, 7]], np.uint8)
    painted = PALETTES[name].paint_classes(classes)
    colors = PALETTES[name].colors
    assert painted.dtype == np.uint8
    assert [tuple(c) for row in painted.tolist() for c in row] == [
        colors[0],
        colors[18],
        (0, 0, 0),
        colors[7],
    ]


@pytest.mark.parametrize("name", PALETTES)
def test_larger_values_are_brighter_by_equal_steps(name: str) -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    painted = PALETTES[name].paint_values(ramp)[0]
    lightness = lab(painted)[::16, 0]
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() < 1.6 * steps.mean()
    yellow, dark = painted[-1].astype(int), painted[0].astype(int)
    assert yellow[0] > 200 > yellow[2]  # red and blue are not exchanged
    assert dark[2] > dark[0] - 20


def test_values_out_of_range_are_those_of_its_ends() -> None:
    palette = PALETTES["colorblind"]
    ends = palette.paint_values(np.array([[-1.0, 0.0, 1.0, 9.0]]))[0].tolist()
    assert ends[0] == ends[1] != ends[2] == ends[3]


def test_an_unknown_palette_is_named_with_those_there_are() -> None:
    with pytest.raises(LangDGError, match="palette 'jet', expected one of classes, colorblind"):
        palette_named("jet", CITYSCAPES_19)


def test_own_classes_have_their_own_colours_alone() -> None:
    own = LabelSpace([f"class {k}" for k in range(25)])
    assert palettes_for(own) == ("classes",)
    assert palettes_for(CITYSCAPES_19) == ("classes", "colorblind")
    painted = palette_named("classes", own).paint_classes(np.array([[24]], np.uint8))
    assert tuple(painted[0, 0].tolist()) == own.colors[24]
    with pytest.raises(LangDGError, match="'colorblind' is only for the Cityscapes classes"):
        palette_named("colorblind", own)
