"""What figures and tables share: colours of classes, numbers, texts that are no formulas."""

import colorsys
import math
from collections.abc import Mapping

from ...styles import BankHeader
from ...styles.bank_header import IGNORE
from ..palettes import Palette

ClassColors = Mapping[str, tuple[float, float, float]]  # RGB in 0..1 by class name

# Of Okabe and Ito's palette, which people of any colour vision tell apart.
DISTINCT = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
OTHER = "#9a9a9a"
_LONGEST = 40  # characters of a text in a figure
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


def printable(text: str) -> str:
    """A foreign text as characters that can be drawn."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def plain(text: str) -> str:
    """A foreign text for a figure: short, and never taken for a formula."""
    shown = printable(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return shown.replace("$", r"\$")


def number_text(value: float) -> str:
    """Three decimals, or a dash for what is not known."""
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.3f}"
