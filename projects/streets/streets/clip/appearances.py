"""Appearance of looks: style prompts and driving conditions as image operations.

A named look has one or more variants, each of which applies steps to a rendered look of the streets
(its base). Many training crops are in unnamed looks, made of random steps that no caption mentions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from langdg_d2.styles import load_style_prompts
from streets.clip.color_steps import (
    Step,
    duotone,
    hue,
    invert,
    posterize,
    saturation,
    solarize,
    tint,
    tone,
    veil,
)
from streets.clip.texture_steps import (
    bloom,
    blur,
    falling,
    grain,
    halftone,
    ink,
    mosaic,
    pencil,
    ripple,
    scratches,
    smear,
    stripes,
    strokes,
    vignette,
)

# Rendered looks and the frequency of scenes in each; styles are applied to daylight. As in CLIP's
# own training data, there are cities, weather and light, but no defects of a specific camera.
WORLD_LOOKS = {
    "clear": 0.28,
    "other_city": 0.16,
    "third_city": 0.16,
    "fog": 0.08,
    "night": 0.08,
    "rain": 0.08,
    "snow": 0.08,
    "dusk": 0.08,
}
DAYLIGHT = ("clear", "other_city", "third_city")


@dataclass(frozen=True)
class Appearance:
    """Recipe of a named look.

    Attributes:
        bases: rendered looks to start from, any of which may be used.
        steps: image operations, in order.
    """

    bases: tuple[str, ...]
    steps: tuple[Step, ...]


def _over(*bases: str, steps: Sequence[Step] = ()) -> Appearance:
    return Appearance(bases, tuple(steps))


def _painted(*steps: Step) -> Appearance:
    return Appearance(DAYLIGHT, steps)


_WHITE = (0.96, 0.97, 1.0)

# Keys are the lines of the prompt packs `driving_conditions` and `art_styles`.
CONDITIONS: dict[str, Appearance] = {
    "foggy": _over("fog"),
    "hazy": _painted(veil((0.80, 0.84, 0.88), (0.3, 0.55)), blur((0.4, 0.8))),
    "overcast": _painted(
        saturation((0.35, 0.6)), tint((0.86, 0.9, 0.96)), tone((1.0, 1.25), (0.65, 0.85))
    ),
    "drizzly": _over("rain", steps=[veil((0.62, 0.66, 0.7), (0.25, 0.45)), blur((0.7, 1.3))]),
    "rain-soaked": _over("rain"),
    "storm-lashed": _over(
        "rain",
        steps=[
            tint((0.5, 0.58, 0.66)),
            tone((1.1, 1.4), (1.15, 1.4)),
            falling((30, 70), (10, 25), (0.6, 0.66, 0.72), (0.3, 0.6)),
        ],
    ),
    "snow-covered": _over("snow"),
    "blizzard-swept": _over(
        "snow",
        steps=[
            veil(_WHITE, (0.3, 0.55)),
            smear((2, 5), (-20, 20)),
            falling((60, 140), (0, 3), _WHITE, (0.7, 1.0)),
        ],
    ),
    "frosty": _painted(
        duotone((0.25, 0.36, 0.5), (0.93, 0.98, 1.0), (0.45, 0.7)), grain((0.03, 0.08), 2)
    ),
    "dust-veiled": _painted(veil((0.80, 0.62, 0.36), (0.4, 0.65)), grain((0.02, 0.05))),
    "dawn-lit": _painted(
        tint((1.05, 0.84, 0.88)), veil((0.98, 0.72, 0.74), (0.15, 0.35)), tone((0.9, 1.1))
    ),
    "sunlit": _over("clear", steps=[tone((0.85, 1.0), (1.0, 1.2))]),
    "backlit": _painted(
        tone((1.5, 2.0), (1.4, 1.8)), saturation((0.3, 0.6)), bloom((0.8, 1.5), (4, 10))
    ),
    "golden-hour": _painted(tint((1.25, 0.92, 0.52)), tone((0.9, 1.2), (1.05, 1.3))),
    "dusky": _over("dusk"),
    "moonlit": _painted(
        duotone((0.0, 0.01, 0.05), (0.30, 0.40, 0.62), (0.8, 1.0)), tone((1.2, 1.7))
    ),
    "night-time": _over("night"),
    "streetlamp-lit": _over(
        "night", steps=[tint((2.2, 1.25, 0.45)), tone((0.7, 0.9)), bloom((0.2, 0.6))]
    ),
    "headlight-lit": _over(
        "night", steps=[tint((1.9, 1.95, 2.1)), tone((0.55, 0.75)), vignette((0.8, 1.0))]
    ),
    "dimly lit": _painted(
        saturation((0.5, 0.8)), tone((1.6, 2.4)), tint((0.5, 0.45, 0.38)), grain((0.02, 0.06))
    ),
}

STYLES: dict[str, Appearance] = {
    "Copper Twilight style": _painted(
        duotone((0.10, 0.12, 0.22), (0.95, 0.55, 0.30), (0.65, 0.95)), vignette((0.2, 0.6))
    ),
    "Velvet Baroque style": _painted(
        tint((0.95, 0.42, 0.5)), tone((1.0, 1.3), (1.1, 1.4)), blur((0.6, 1.2)), bloom((0.2, 0.6))
    ),
    "Frozen Aurora style": _painted(
        duotone((0.10, 0.05, 0.35), (0.45, 1.0, 0.85), (0.65, 0.95)), bloom((0.2, 0.5))
    ),
    "Paper Lantern style": _painted(
        tone((0.6, 0.8)), tint((1.1, 0.95, 0.62)), grain((0.06, 0.12), 3), bloom((0.3, 0.7))
    ),
    "Deco Skyline style": _painted(
        posterize((2, 3.4)), duotone((0.05, 0.10, 0.16), (0.93, 0.80, 0.45), (0.7, 0.95))
    ),
    "Charcoal Sketch style": _painted(
        pencil((0.9, 1.0)), tone((1.6, 2.4)), grain((0.08, 0.16), 2), blur((0.4, 0.8))
    ),
    "Neon Rainfall style": _painted(
        saturation((1.8, 2.6)),
        tone((1.8, 2.4)),
        ink((1.0, 0.1, 0.9), (0.7, 1.0)),
        falling((15, 40), (12, 30), (0.1, 0.95, 1.0), (0.5, 0.9)),
    ),
    "Sunbleached Postcard style": _painted(
        tone((0.6, 0.8), (0.55, 0.75)), saturation((0.5, 0.8)), veil((1.0, 0.93, 0.75), (0.3, 0.5))
    ),
    "Gothic Cathedral style": _painted(
        saturation((0.1, 0.35)), tone((1.2, 1.7), (1.2, 1.5)), tint((0.72, 0.66, 0.85))
    ),
    "Desert Mirage style": _painted(
        ripple((1.0, 2.5), (10, 25)), tint((1.15, 0.85, 0.55)), veil((0.95, 0.75, 0.5), (0.2, 0.4))
    ),
    "Bauhaus Geometry style": _painted(
        saturation((1.8, 2.6)), posterize((1.8, 2.8)), ink((0.0, 0.0, 0.0), (0.5, 0.8))
    ),
    "Silent Film style": _painted(
        saturation((0.0, 0.1)),
        tone((0.8, 1.1), (1.3, 1.7)),
        scratches((1, 7)),
        grain((0.05, 0.12)),
        vignette((0.5, 0.9)),
    ),
    "Tropical Mural style": _painted(
        hue((15, 50)), saturation((1.7, 2.4)), tone((0.7, 0.9)), strokes((0.6, 1.4))
    ),
    "Woodblock Print style": _painted(
        posterize((3, 5)),
        ink((0.12, 0.10, 0.20), (0.7, 1.0)),
        duotone((0.14, 0.18, 0.36), (0.95, 0.90, 0.78), (0.3, 0.6)),
        stripes((2.5, 5), (-15, 15), (0.1, 0.3)),
    ),
    "Stained Glass style": _painted(
        mosaic((4, 8), (0.5, 0.8)), saturation((1.8, 2.6)), bloom((0.2, 0.6))
    ),
    "Faded Polaroid style": _painted(
        tone((0.8, 1.0), (0.6, 0.8)),
        duotone((0.30, 0.24, 0.34), (0.98, 0.93, 0.82), (0.35, 0.6)),
        vignette((0.3, 0.6)),
        blur((0.5, 1.0)),
    ),
    "Impressionist Harvest style": _painted(
        strokes((1.5, 3.0)), tint((1.15, 1.0, 0.65)), saturation((1.2, 1.8))
    ),
    "Volcanic Ember style": _painted(
        duotone((0.03, 0.0, 0.02), (1.0, 0.42, 0.05), (0.8, 1.0)), tone((0.9, 1.3), (1.1, 1.3))
    ),
    "Surreal Clockwork style": _painted(
        ripple((2.0, 4.0), (20, 40)), hue((150, 210)), solarize((0.55, 0.8))
    ),
    "Midnight Jazz style": _painted(
        duotone((0.01, 0.01, 0.06), (0.35, 0.45, 0.95), (0.75, 0.95)),
        halftone((3, 5), (0.35, 0.6)),
    ),
}

LOOKS: dict[str, Appearance] = CONDITIONS | STYLES
LOOK_NAMES = (*load_style_prompts("driving_conditions"), *load_style_prompts("art_styles"))

# Small differences between cameras, in all looks.
_CAMERA = (tint((1.12, 1.0, 0.88), (-1.0, 1.0)), tone((0.85, 1.18), (0.88, 1.12)))


def _color_mixture(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mix channels with a random matrix near the identity."""
    matrix = np.eye(3) + rng.normal(0, 0.3, (3, 3))
    offset = rng.normal(0, 0.1, 3) + 0.5 * (1 - matrix.sum(axis=1)) * rng.uniform(0.3, 1)
    return image @ matrix.T.astype(np.float32) + offset.astype(np.float32)


_UNNAMED: tuple[Step, ...] = (
    _color_mixture,
    _color_mixture,
    hue((-180, 180)),
    saturation((0.0, 2.4)),
    tone((0.4, 2.6), (0.4, 2.0)),
    tone((0.4, 2.6), (0.4, 2.0)),
    blur((0.4, 1.6)),
    smear((2, 6), (-90, 90)),
    grain((0.02, 0.2), 1, True),
    grain((0.03, 0.18), 2),
    posterize((1.5, 6)),
    stripes((3, 14), (-90, 90), (0.1, 0.5)),
    vignette((0.2, 1.0)),
    bloom((0.2, 1.2)),
    falling((10, 90), (0, 25), (0.7, 0.7, 0.7), (0.2, 0.8)),
    invert((0.0, 1.0)),
    strokes((0.5, 2.0)),
    pencil((0.2, 0.9)),
)


def appear(crop: np.ndarray, look: str | None, rng: np.random.Generator) -> np.ndarray:
    """Apply a look to a crop.

    Args:
        crop: (H, W, 3) uint8 RGB, in one of the look's bases.
        look: key of `LOOKS`, or None for an unnamed look of two to four random steps.
        rng: draws strengths and steps; it is advanced.

    Returns:
        (H, W, 3) uint8.

    Raises:
        LangDGError: if there is no such look.
    """
    if look is None:
        chosen = rng.choice(len(_UNNAMED), int(rng.integers(2, 5)), replace=False)
        steps = tuple(_UNNAMED[k] for k in chosen)
    else:
        steps = LOOKS[look].steps
    image = crop.astype(np.float32) / 255
    for step in (*_CAMERA, *steps):
        image = step(image, rng)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
