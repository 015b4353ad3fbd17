"""Colour operations that looks consist of; position-dependent ones are in `texture_steps`.

Every function takes ranges and returns a `Step`: a function of an image, (H, W, 3) float32 RGB in
about 0..1, and a random generator for the strength, which returns a new image. Values may exceed
0..1 and must be clipped after the last step.
"""

from collections.abc import Callable

import cv2
import numpy as np

from streets.draws import Range
from streets.mesh import Color

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the brightness (H, W) float32."""
    return cv2.transform(image, _LUMA[None])


def blend(image: np.ndarray, other: np.ndarray, amount: float) -> np.ndarray:
    """Blend `amount` of the other image over the first."""
    return cv2.addWeighted(image, 1 - amount, other, amount, 0)


def _affine(image: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return cv2.transform(image, np.column_stack([matrix, offset]).astype(np.float32))


def duotone(shadow: Color, light: Color, amount: Range) -> Step:
    """Map brightness to a gradient between two colours."""
    low, high = np.array(shadow), np.array(light)

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        a = rng.uniform(*amount)
        matrix = (1 - a) * np.eye(3) + a * np.outer(high - low, _LUMA)
        return _affine(image, matrix, a * low)

    return step


def tint(gain: Color, amount: Range = (0.7, 1.0)) -> Step:
    """Multiply channels, as coloured light does."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        factors = 1 + rng.uniform(*amount) * (np.array(gain) - 1)
        return _affine(image, np.diag(factors), np.zeros(3))

    return step


def veil(color: Color, amount: Range) -> Step:
    """Blend a colour over the image."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        a = rng.uniform(*amount)
        return _affine(image, (1 - a) * np.eye(3), a * np.array(color))

    return step


def saturation(factor: Range) -> Step:
    """Make colours stronger (above 1) or greyer."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        s = rng.uniform(*factor)
        return _affine(image, s * np.eye(3) + (1 - s) * np.tile(_LUMA, (3, 1)), np.zeros(3))

    return step


def hue(degrees: Range) -> Step:
    """Rotate colours about the grey axis."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        axis = np.ones((3, 1)) * np.deg2rad(rng.uniform(*degrees)) / np.sqrt(3)
        return _affine(image, cv2.Rodrigues(axis)[0], np.zeros(3))

    return step


def tone(gamma: Range = (1.0, 1.0), contrast: Range = (1.0, 1.0)) -> Step:
    """Make mid-tones darker (gamma above 1) or lighter, then change contrast about mid-grey."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        c = rng.uniform(*contrast)
        curved = cv2.pow(np.clip(image, 0, 1), rng.uniform(*gamma))
        return _affine(curved, c * np.eye(3), np.full(3, 0.5 * (1 - c)))

    return step


def posterize(levels: Range) -> Step:
    """Reduce each channel to a few values."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n = rng.uniform(*levels)
        return np.rint(np.clip(image, 0, 1) * n) / np.float32(n)

    return step


def solarize(threshold: Range) -> Step:
    """Invert values above a threshold."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(image > rng.uniform(*threshold), 1 - image, image)

    return step


def invert(amount: Range) -> Step:
    """Blend with the negative."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        a = rng.uniform(*amount)
        return _affine(image, (1 - 2 * a) * np.eye(3), np.full(3, a))

    return step
