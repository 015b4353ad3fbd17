"""Distinct colours for classes and objects that have none of their own."""

from __future__ import annotations

import colorsys
import random

import numpy as np

__all__ = ["colormap", "random_color", "random_colors"]


def _palette(size: int) -> np.ndarray:
    """(size, 3) RGB in [0, 1]; steps of the golden ratio keep neighbours far apart in hue."""
    golden = (5**0.5 - 1) / 2
    lightness = (0.5, 0.35, 0.65)
    saturation = (0.9, 0.65)
    colours = [
        colorsys.hls_to_rgb((0.58 + k * golden) % 1, lightness[k % 3], saturation[k // 3 % 2])
        for k in range(size)
    ]
    return np.array(colours, dtype=np.float32)


_COLOURS = _palette(74)


def colormap(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """All colours.

    Args:
        rgb: channel order RGB, else BGR.
        maximum: 255 or 1, the value of full intensity.

    Returns:
        (N, 3) float32.
    """
    assert maximum in (255, 1), f"maximum must be 255 or 1, got {maximum}"
    return (_COLOURS if rgb else _COLOURS[:, ::-1]) * maximum


def random_color(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """One of the colours, drawn from NumPy's global generator; arguments as in `colormap`."""
    return colormap(rgb, maximum)[np.random.randint(len(_COLOURS))]


def random_colors(N: int, rgb: bool = False, maximum: int = 255) -> list[np.ndarray]:
    """N different colours, drawn by `random`; ValueError if there are fewer than N."""
    colours = colormap(rgb, maximum)
    return [colours[k] for k in random.sample(range(len(colours)), N)]
