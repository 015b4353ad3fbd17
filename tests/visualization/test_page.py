"""Pages: texts are escaped, pictures are inside, and nothing is loaded from elsewhere."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from matplotlib.figure import Figure

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import page
from langdg_d2.visualization.page import data_uri, parts, png, render, svg
from langdg_d2.visualization.sem_seg import encode

HOSTILE = "<script>alert('\"&</td>\ud800"
ESCAPED = "&lt;script&gt;alert(&#39;&#34;&amp;&lt;/td&gt;\\ud800"
TEMPLATE = """\
{% extends "page.html.j2" %}
{% from "parts.html.j2" import drawing, facts, fold, key, picture, section, table with context %}
{% block main %}
{% call section(text) %}
{{ facts({text: text}) }}{{ table(frame) }}{{ key((1, 2, "x"), text) }}
{{ picture(png, text, text) }}{{ drawing(figure, text, text) }}
{% call fold(text) %}{{ text }}{% endcall %}
{% endcall %}
{% if more %}{% call section("b") %}{% endcall %}{% endif %}
{% endblock %}
"""


class Reader(HTMLParser):
    """Tags that are open, the visible text, and attributes by tag."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.attributes = "", []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def noise(height: int = 10, width: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(text: str = "title") -> Figure:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([0, 1], [1, 0], color="#D55E00")
    axes.set_title(text)
    return figure


@pytest.fixture
def make_page(monkeypatch: pytest.MonkeyPatch):
    """Function that renders the template above."""
    from jinja2 import ChoiceLoader, DictLoader

    templates = page._TEMPLATES
    loaders = [DictLoader({"test.html.j2": TEMPLATE}), templates.loader]
    monkeypatch.setattr(templates, "loader", ChoiceLoader(loaders))

    def make(text: str = "a", *, more: bool = True) -> str:
        frame = pd.DataFrame({text: [text, "1"]})
        values = {"figure": drawn(), "png": encode(noise()), "frame": frame, "more": more}
        return render("test.html.j2", title=text, lead=text, text=text, **values).decode()

    return make


def test_every_text_is_escaped_wherever_it_stands(make_page) -> None:
    document = make_page(HOSTILE)
    # Title twice, lead, heading twice, facts, table, key, pictures with captions, fold.
    assert document.count(ESCAPED) == 2 + 1 + 2 + 2 + 2 + 1 + 4 + 2
    assert "<script" not in document
    reader = Reader(document)
    assert reader.open == []
    assert reader.text.count("<script>alert('\"&</td>\\ud800") == 2 + 1 + 2 + 2 + 2 + 1 + 2 + 2
    assert "rgb(1,2,0)" in document


def test_a_page_loads_nothing_and_its_contents_lead_to_its_sections(make_page) -> None:
    document = make_page()
    attributes = Reader(document).attributes
    assert [a["href"] for tag, a in attributes if tag == "a"] == ["#s0", "#s1"]
    assert [a["id"] for tag, a in attributes if tag == "section"] == ["s0", "s1"]
    for tag, values in attributes:
        for name, value in values.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:", "#")), (tag, name, value)
    assert "default-src 'none'" in document
    assert document.startswith("<!doctype html>\n")
    assert "<nav>" not in make_page(more=False)
    assert make_page() == document


def test_what_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("page.html.j2")


def test_tables_round_numbers_and_keep_markup() -> None:
    values = [["<", Markup("<b>1</b>"), 1234, 2.345], ["x", None, 5, float("nan")]]
    frame = pd.DataFrame(values, columns=list("nnab"), dtype=object)
    rows = re.findall("<td>(.*?)</td>", parts.table(frame))
    assert rows == ["&lt;", "<b>1</b>", "1,234", "2.35", "x", "\u2013", "5", "\u2013"]
    assert ">2.3450<" in parts.table(frame, digits=4)


def test_pictures_are_inside_as_they_are() -> None:
    data = encode(noise(), quality=90)
    assert data_uri(data).startswith("data:image/jpeg;base64,")
    address = re.search('src="data:image/png;base64,([^"]*)"', parts.picture(encode(noise()), "n"))
    assert base64.b64decode(address[1]) == encode(noise())
    with pytest.raises(LangDGError, match=r"b'<svg', expected a PNG or JPEG"):
        data_uri(b"<svg>")


def test_drawings_take_the_colour_of_the_text_and_share_no_name() -> None:
    first, second = svg(drawn(), "a"), svg(drawn("other"), "b")
    assert svg(drawn(), "a") == first
    names = [set(re.findall(r'\bid="([^"]+)"', block)) for block in (first, second)]
    assert names[0]
    assert not names[0] & names[1]
    for block, own in zip((first, second), names, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', block))
        assert used
        assert used <= own
    assert "currentColor" in first
    assert "#000000" not in first
    assert "#d55e00" in first
    assert "#ffffff" not in first


def test_texts_in_a_drawing_are_escaped_and_stay_text() -> None:
    assert "&lt;b&gt;&amp;url(#x)" in svg(drawn("<b>&url(#x)"), "a")


def test_a_figure_as_png_is_on_white() -> None:
    pixels = cv2.imdecode(np.frombuffer(png(drawn()), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels[0, 0, :3].tolist() == [255, 255, 255]
    assert png(drawn()) == png(drawn())


def test_the_style_sheet_has_one_rule_for_each_selector() -> None:
    style = Path(page.__file__).with_name("page.css").read_text()
    selectors = re.findall(r"^([^\s@}][^{]*?) \{", style, flags=re.MULTILINE)
    assert len(selectors) > 20
    assert len(set(selectors)) == len(selectors)
