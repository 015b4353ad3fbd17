"""What the reports' figures share: colours, sizes, and texts that are no formulas."""

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.tables import MISSING

# Of Okabe and Ito's palette, which people of any colour vision tell apart; all but the last are
# dark and bright enough for lines on light and on dark pages.
DISTINCT = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
BLUE, ORANGE, *_ = DISTINCT
OTHER = "#9a9a9a"
TEXT = "black"  # pages show it in their colour of text
ON_DARK, ON_BRIGHT = "#f5f5f5", "#111111"  # text on colours, the same on all pages
FAINT = 0.15  # opacity of grid lines and bands
_CHARACTER = 0.07  # inches, in a small text
_LONGEST = 40  # characters of a text in a figure


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue in 0..255 of a colour such as "#0072B2"."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def panel(
    size: tuple[float, float], *, left: float, top: float, right: float, bottom: float
) -> tuple[Figure, Axes]:
    """A figure of one plot; its size and margins are in inches, so no layout engine takes time."""
    width, height = left + size[0] + right, bottom + size[1] + top
    figure = Figure(figsize=(width, height))
    place = (left / width, bottom / height, size[0] / width, size[1] / height)
    return figure, figure.add_axes(place)


def room(texts: Iterable[str]) -> float:
    """Inches that the longest of small texts needs."""
    return _CHARACTER * (max(map(len, texts)) + 1)


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
    return MISSING if math.isnan(value) else f"{value:.3f}"
