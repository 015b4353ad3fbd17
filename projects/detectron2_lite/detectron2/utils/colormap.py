"""Distinct colours for classes that have none of their own."""

import colorsys

import numpy as np

__all__ = ["colormap", "random_color"]


def _palette(size: int) -> np.ndarray:
    """Hues at steps of the golden ratio, so that neighbours differ, in cycles of lightness."""
    golden = (5**0.5 - 1) / 2
    hues = (0.58 + golden * np.arange(size)) % 1
    shades = [(0.5, 0.9), (0.35, 0.65), (0.65, 0.9), (0.5, 0.65), (0.35, 0.9), (0.65, 0.65)]
    colours = [colorsys.hls_to_rgb(hue, *shades[k % 6]) for k, hue in enumerate(hues)]
    return np.array(colours, dtype=np.float32)


_COLOURS = _palette(74)


def colormap(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """All colours, (N, 3) float32 in [0, maximum], RGB or BGR; `maximum` is 255 or 1."""
    assert maximum in (255, 1), f"maximum must be 255 or 1, got {maximum}"
    return (_COLOURS if rgb else _COLOURS[:, ::-1]) * maximum


def random_color(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """One of the colours, drawn by NumPy."""
    return colormap(rgb, maximum)[np.random.randint(len(_COLOURS))]
