"""Colours of the classes of a style bank."""

import colorsys
from collections.abc import Mapping

from ...styles import BankHeader
from ...styles.bank import IGNORE
from ..palettes import Palette

ClassColors = Mapping[str, tuple[float, float, float]]  # RGB in 0..1 by class name

_IGNORE_COLOR = (0.75, 0.75, 0.75)
_TURN = 0.618  # of the colour circle between classes the palette does not know


def class_colors(header: BankHeader, palette: Palette) -> ClassColors:
    """Of every class of a bank, "ignore" among them."""
    known = dict(zip(palette.names, palette.colors, strict=True))
    colors: dict[str, tuple[float, float, float]] = {}
    for k, name in enumerate(header.class_names):
        other = colorsys.hls_to_rgb(_TURN * k % 1, 0.5, 0.8)
        red, green, blue = (part / 255 for part in known[name]) if name in known else other
        colors[name] = (red, green, blue)
    return colors | {IGNORE: _IGNORE_COLOR}
