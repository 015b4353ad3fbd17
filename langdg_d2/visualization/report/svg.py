"""Small drawings inside a page, in colours that colour-blind eyes tell apart.

Text and lines take the page's colour of text, so that drawings suit light and dark pages.
"""

from typing import Any

from ..html import Markup, markup

# Of Okabe and Ito's palette; dark and bright enough for light and for dark pages.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)

FAINT = 0.15  # opacity of grid lines
_FONT_SIZE = 11  # pixels


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue in 0..255 of a colour such as "#0072b2"."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def element(name: str, *children: object, **attributes: Any) -> Markup:
    """An SVG element; underscores in names of attributes are hyphens, at their end nothing.

    Children that are no markup are escaped, as are attributes; numbers are rounded to hundredths.
    """
    values = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{markup(_short(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(map(markup, children))
    return Markup(f"<{name}{values}>{inside}</{name}>" if inside else f"<{name}{values}/>")


def drawing(width: float, height: float, label: str, *shapes: Markup) -> Markup:
    """A drawing of a size in pixels, which shrinks where the window is narrower.

    Args:
        width, height: pixels.
        label: what it shows, for who does not see it.
        shapes: of `element`.
    """
    body = element(
        "svg",
        *shapes,
        role="img",
        aria_label=label,
        width=width,
        height=height,
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        fill="currentColor",
        font_size=_FONT_SIZE,
    )
    return Markup(f"<figure>{body}</figure>")


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> Markup:
    """A straight line, in the colour of text unless told otherwise."""
    given = {"stroke": "currentColor"} | attributes
    return element("path", d=f"M{_short(x1)} {_short(y1)}L{_short(x2)} {_short(y2)}", **given)


def points(xs: Any, ys: Any) -> str:
    """Coordinates for polylines and polygons."""
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in zip(xs, ys, strict=True))


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
