"""Self-contained HTML pages: text, tables and pictures in one file that needs no network.

Texts are escaped; only what the functions here return is taken as markup.
"""

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape as escape_html
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..utils.errors import LangDGError
from .sem_seg import Image

# Nothing can be loaded or run, should a text ever find its way into the markup.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = Path(__file__).with_name("page.css")
_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}
_PNG_DPI = 130
# Texts again as comments; their font, as the page has one; turns by 0; names of groups.
_NEEDLESS = re.compile(r"(?s)<!--.*?-->|\n *(?=<)")
_NEEDLESS_IN_TAG = re.compile(
    r""" font-family:[^;"]*;| transform="rotate\(-0 [^"]*"|(?<=<g) id="[^"]*\""""
)


class Markup(str):
    """HTML that is complete and safe as it is."""

    __slots__ = ()


class Section(NamedTuple):
    """A part of a page, with an entry in its table of contents."""

    heading: str
    body: Markup


def page(title: str, sections: Sequence[Section], *, lead: str = "") -> str:
    """A whole HTML document, with a table of contents where there are several sections.

    Args:
        title: of the document.
        sections: in their order.
        lead: a paragraph below the title.
    """
    links = (f'<a href="#s{k}">{markup(s.heading)}</a>' for k, s in enumerate(sections))
    contents = f"<nav>{' '.join(links)}</nav>" if len(sections) > 1 else ""
    parts = (
        f'<section id="s{k}"><h2>{markup(s.heading)}</h2>{s.body}</section>'
        for k, s in enumerate(sections)
    )
    style = _STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{markup(title)}</title>\n<style>{style}</style></head>\n"
        f"<body><header><h1>{markup(title)}</h1>{paragraph(lead) if lead else ''}{contents}"
        f"</header>\n<main>{''.join(parts)}</main></body></html>\n"
    )


def section(heading: str, *blocks: str) -> Section:
    """Blocks below a heading; those that are no markup become paragraphs."""
    return Section(heading, _joined(blocks))


def subsection(heading: str, *blocks: str) -> Markup:
    """A block of blocks, with a lower heading."""
    return Markup(f"<h3>{markup(heading)}</h3>{_joined(blocks)}")


def fold(summary: str, *blocks: str) -> Markup:
    """Blocks that are hidden until their summary is clicked."""
    return Markup(f"<details><summary>{markup(summary)}</summary>{_joined(blocks)}</details>")


def paragraph(*texts: str) -> Markup:
    """Texts, or inline markup such as a `swatch`, one after the other."""
    return Markup(f"<p>{''.join(map(markup, texts))}</p>")


def gallery(*blocks: Markup) -> Markup:
    """Pictures or figures side by side, in as many rows as the window needs."""
    return Markup(f'<div class="gallery">{"".join(blocks)}</div>')


def table(columns: Mapping[str, Sequence[object]]) -> Markup:
    """Rows of columns of one length, the first to the left and the others to the right.

    Args:
        columns: values by heading; markup stays as it is, anything else is shown as `str`.
    """
    head = "".join(f"<th>{markup(name)}</th>" for name in columns)
    rows = (
        "".join(f"<td>{markup(value)}</td>" for value in row)
        for row in zip(*columns.values(), strict=True)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return Markup(f'<div class="wide"><table>{inner}</table></div>')


def facts(values: Mapping[str, object]) -> Markup:
    """Names and what they stand for, line by line."""
    lines = (f"<dt>{markup(k)}</dt><dd>{markup(v)}</dd>" for k, v in values.items())
    return Markup(f"<dl>{''.join(lines)}</dl>")


def swatch(color: Sequence[int]) -> Markup:
    """A small square of a colour, RGB in 0..255, to stand in a text or table."""
    red, green, blue = (int(part) for part in color)
    return Markup(f'<i class="swatch" style="background:rgb({red},{green},{blue})"></i>')


def picture(
    image: Image | bytes, alt: str, *, caption: str = "", quality: int | None = None
) -> Markup:
    """An image inside the page.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) grey, or a PNG or JPEG file's content.
        alt: what it shows, for who does not see it.
        caption: below it.
        quality: of an array as JPEG, 1 to 100, which suits photographs; as PNG if None.

    Raises:
        LangDGError: for other bytes, or if the array cannot be encoded.
    """
    data = image if isinstance(image, bytes) else encode(image, quality=quality)
    kind = next((kind for magic, kind in _TYPES.items() if data.startswith(magic)), None)
    if kind is None:
        raise LangDGError(f"the picture of '{alt}' begins with {data[:4]!r}: neither PNG nor JPEG")
    text = base64.b64encode(data).decode()
    return _figure(f'<img src="data:image/{kind};base64,{text}" alt="{markup(alt)}">', caption)


def encode(image: Image, *, quality: int | None = None) -> bytes:
    """PNG of an RGB or grey uint8 array, or JPEG of a quality from 1 to 100.

    Raises:
        LangDGError: if it cannot be encoded, as with no pixel.
    """
    if image.size == 0:
        raise LangDGError(f"a picture {image.shape} has no pixel")
    pixels = np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image)  # OpenCV: BGR
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    encoded, data = cv2.imencode(".png" if quality is None else ".jpg", pixels, options)
    if not encoded:
        raise LangDGError(f"OpenCV cannot encode a picture {image.shape} {image.dtype}")
    return data.tobytes()


def svg(figure: Figure, alt: str, *, caption: str = "") -> Markup:
    """A matplotlib figure as a drawing inside the page; black takes the page's colour of text.

    Backgrounds become transparent; draw legends without a frame.

    Args:
        figure: many points should be `rasterized`, they are many bytes otherwise.
        alt: what it shows.
        caption: below it.
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
    label = f'<svg role="img" aria-label="{markup(alt)}" fill="currentColor"'
    return _figure(text.replace("<svg", label, 1), caption)


def figure_png(figure: Figure) -> bytes:
    """A matplotlib figure as the content of a PNG file, on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def markup(value: object) -> Markup:
    """Any value as text inside HTML, escaped for elements and attributes; markup as it is."""
    if isinstance(value, Markup):
        return value
    # Half of a surrogate pair, which JSON can hold, is in no file.
    return Markup(escape_html(str(value).encode("utf-8", "backslashreplace").decode()))


def _adapted(tag: str, prefix: str) -> str:
    tag = _NEEDLESS_IN_TAG.sub("", tag)
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", tag)
    return tag.replace("#000000", "currentColor")


def _figure(content: str, caption: str) -> Markup:
    below = f"<figcaption>{markup(caption)}</figcaption>" if caption else ""
    return Markup(f"<figure>{content}{below}</figure>")


def _joined(blocks: Iterable[str]) -> Markup:
    return Markup("".join(b if isinstance(b, Markup) else paragraph(b) for b in blocks))
