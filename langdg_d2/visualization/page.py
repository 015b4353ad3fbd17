"""Self-contained HTML pages from jinja2 templates: one file each, which needs no network.

Texts are escaped; only `markupsafe.Markup` is taken as markup.
"""

import base64
import hashlib
import io
import re
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
# Texts again as comments; their font, as the page has one; turns by 0; names of groups.
_NEEDLESS = re.compile(r"(?s)<!--.*?-->|\n *(?=<)")
_NEEDLESS_IN_TAG = re.compile(
    r""" font-family:[^;"]*;| transform="rotate\(-0 [^"]*"|(?<=<g) id="[^"]*\""""
)


def render(template: str, **values: Any) -> bytes:
    """The UTF-8 content of a page.

    Args:
        template: file in this folder that extends `page.html.j2`.
        values: what the template shows, `title` and `lead` among it.
    """
    html = _TEMPLATES.get_template(template).render(values, headings=[])
    # Half of a surrogate pair, which JSON can hold, is not valid UTF-8.
    return html.encode("utf-8", "backslashreplace")


def svg(figure: Figure, alt: str) -> Markup:
    """A matplotlib figure as a drawing inside the page; black takes the page's colour of text.

    Backgrounds become transparent; draw legends without a frame.

    Args:
        figure: many points should be `rasterized`, they are many bytes otherwise.
        alt: what it shows.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "page"}):  # same bytes each time
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue().decode()
    text = _NEEDLESS.sub("", text[text.index("<svg") :])
    # Drawings of one page share their names otherwise.
    prefix = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    text = re.sub(r"<[^>]*>", lambda tag: _adapted(tag[0], prefix), text)
    label = f'<svg role="img" aria-label="{escape(alt)}" fill="currentColor"'
    return Markup(text.replace("<svg", label, 1))


def png(figure: Figure) -> bytes:
    """A matplotlib figure as the content of a PNG file, on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """The content of a PNG or JPEG file as the address of an image inside the page."""
    kind = next((kind for magic, kind in _TYPES.items() if data.startswith(magic)), None)
    if kind is None:
        raise LangDGError(f"the picture begins with {data[:4]!r}, expected a PNG or JPEG file")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def shown(value: Any, digits: int = 2) -> Any:
    """A value for a table: floats rounded, thousands apart, a dash for what is missing."""
    if pd.isna(value):
        return MISSING
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else value


def _adapted(tag: str, prefix: str) -> str:
    tag = _NEEDLESS_IN_TAG.sub("", tag)
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", tag)
    return tag.replace("#000000", "currentColor")


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"svg": svg, "data_uri": data_uri, "shown": shown}
# Macros `table`, `swatch` and others, which give `Markup`.
parts = _TEMPLATES.get_template("parts.html.j2").module
