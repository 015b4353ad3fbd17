"""Self-contained HTML pages from jinja2 templates, which work offline.

Texts are escaped; only `markupsafe.Markup` is used as markup.
"""

import base64
import io
import re
from numbers import Integral
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from ..evaluation.tables import MISSING
from ..utils.errors import LangDGError

_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}
_PNG_DPI = 130
# Redundant parts of SVG: comments, fonts, rotations by 0, names of groups.
_NEEDLESS = re.compile(r"(?s)<!--.*?-->|\n *(?=<)")
_NEEDLESS_IN_TAG = re.compile(
    r""" font-family:[^;"]*;| transform="rotate\(-0 [^"]*"|(?<=<g) id="[^"]*\""""
)


def render(template: str, **values: Any) -> bytes:
    """Render a page in UTF-8.

    Args:
        template: file in this folder that extends `page.html.j2`.
        values: variables of the template, including `title` and `lead`.
    """
    html = _TEMPLATES.get_template(template).render(values, headings=[])
    # Half of a surrogate pair, which JSON allows, is not valid UTF-8.
    return html.encode("utf-8", "backslashreplace")


def svg(figure: Figure, alt: str) -> Markup:
    """Convert a matplotlib figure to inline SVG; black becomes the page's text colour.

    Backgrounds become transparent; draw legends without a frame.

    Args:
        figure: use `rasterized` for many points, which take many bytes otherwise.
        alt: description of the figure, unique in the page.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # The salt makes the names in a drawing reproducible and unique in the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": ascii(alt)}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue().decode()
    text = _NEEDLESS.sub("", text[text.index("<svg") :])
    text = re.sub(r"<[^>]*>", lambda tag: _NEEDLESS_IN_TAG.sub("", tag[0]), text)
    label = f'<svg role="img" aria-label="{escape(alt)}" fill="currentColor"'
    return Markup(text.replace("#000000", "currentColor").replace("<svg", label, 1))


def png(figure: Figure) -> bytes:
    """Render a matplotlib figure as PNG on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """Convert the content of a PNG or JPEG file to a data URI."""
    kind = next((kind for magic, kind in _TYPES.items() if data.startswith(magic)), None)
    if kind is None:
        raise LangDGError(f"the picture begins with {data[:4]!r}, expected a PNG or JPEG file")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def shown(value: Any, digits: int = 2) -> Any:
    """Format a value for tables: rounded floats, thousands separators, a dash if missing."""
    if pd.isna(value):
        return MISSING
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, Integral) else value


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"svg": svg, "data_uri": data_uri, "shown": shown}
# Macros such as `table` and `swatch`, which return `Markup`.
parts: Any = _TEMPLATES.get_template("parts.html.j2").module
