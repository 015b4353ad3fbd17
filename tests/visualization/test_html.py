"""Pages: texts are escaped, pictures are inside, and nothing is loaded from elsewhere."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import html
from langdg_d2.visualization.html import (
    Markup,
    encode,
    facts,
    figure_png,
    fold,
    gallery,
    markup,
    page,
    paragraph,
    picture,
    section,
    subsection,
    svg,
    swatch,
    table,
)

HOSTILE = "<script>alert('\"&</td>\ud800"
ESCAPED = "&lt;script&gt;alert(&#x27;&quot;&amp;&lt;/td&gt;\\ud800"


class Reader(HTMLParser):
    """Tags that are open, the visible text, and attributes by tag."""

    def __init__(self, document):
        super().__init__()
        self.open, self.text, self.attributes = [], "", []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def noise(height=10, width=12):
    return np.random.randint(0, 256, (height, width, 3), dtype=np.uint8)


def drawing(text="title"):
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([0, 1], [1, 0], color="#D55E00")
    axes.set_title(text)
    return figure


def inside(block):
    return base64.b64decode(re.search(r'base64,([^"]*)"', block)[1])


def test_every_text_is_escaped_wherever_it_stands():
    blocks = [
        HOSTILE,
        paragraph(HOSTILE),
        subsection(HOSTILE, HOSTILE),
        fold(HOSTILE, HOSTILE),
        facts({HOSTILE: HOSTILE}),
        table({HOSTILE: [HOSTILE, 1]}),
        gallery(picture(noise(), HOSTILE, caption=HOSTILE)),
    ]
    document = page(HOSTILE, [section(HOSTILE, *blocks), section("b")], lead=HOSTILE)
    # Title twice, lead, heading twice, then the blocks.
    assert document.count(ESCAPED) == 5 + 1 + 1 + 2 + 2 + 2 + 2 + 2
    assert "<script" not in document
    document.encode()
    reader = Reader(document)
    assert reader.open == []
    assert reader.text.count("<script>alert('\"&</td>\\ud800") == 5 + 1 + 1 + 2 + 2 + 2 + 2 + 1


def test_a_page_loads_nothing_and_its_contents_lead_to_its_sections():
    document = page("t", [section("a", picture(noise(), "n"), svg(drawing(), "d")), section("b")])
    attributes = Reader(document).attributes
    links = [a["href"] for tag, a in attributes if tag == "a"]
    assert links == ["#s0", "#s1"]
    assert [a["id"] for tag, a in attributes if tag == "section"] == ["s0", "s1"]
    for tag, values in attributes:
        for name, value in values.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:", "#")), (tag, name, value)
    assert "default-src 'none'" in document
    assert "<nav>" not in page("t", [section("only")])


def test_tables_have_a_row_for_each_value_and_keep_markup():
    cell = Markup("<b>1</b>")
    rows = re.findall(r"<td>(.*?)</td><td>(.*?)</td>", table({"n": [1, "<"], "m": [cell, 2.5]}))
    assert rows == [("1", "<b>1</b>"), ("&lt;", "2.5")]
    with pytest.raises(ValueError, match="zip"):
        table({"n": [1], "m": []})
    assert markup(markup("<")) == "&lt;"
    assert "rgb(1,2,3)" in swatch((1, 2, 3))


@pytest.mark.parametrize("pixels", [noise(), noise()[..., 0]])
def test_a_picture_is_inside_pixel_by_pixel(pixels):
    block = picture(pixels, "n")
    assert 'src="data:image/png;base64,' in block
    back = cv2.imdecode(np.frombuffer(inside(block), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(back if back.ndim == 2 else back[..., ::-1], pixels)


def test_photographs_can_be_jpeg_and_files_stay_as_they_are():
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = encode(flat, quality=90)
    assert 'src="data:image/jpeg;base64,' in picture(flat, "n", quality=90)
    assert inside(picture(data, "n")) == data
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(back.astype(int) - flat).max() <= 3
    with pytest.raises(LangDGError, match="neither PNG nor JPEG"):
        picture(b"<svg>", "n")
    with pytest.raises(LangDGError, match=r"\(0, 4, 3\) has no pixel"):
        encode(flat[:0, :4])


def test_drawings_take_the_colour_of_the_text_and_share_no_name():
    first, second = svg(drawing(), "a"), svg(drawing("other"), "b")
    assert svg(drawing(), "a") == first
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


def test_texts_in_a_drawing_are_escaped_and_stay_text():
    block = svg(drawing("<b>&url(#x)"), "a")
    assert "&lt;b&gt;&amp;url(#x)" in block


def test_a_figure_as_png_is_on_white():
    pixels = cv2.imdecode(np.frombuffer(figure_png(drawing()), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels[0, 0, :3].tolist() == [255, 255, 255]
    assert figure_png(drawing()) == figure_png(drawing())


def test_the_style_sheet_has_one_rule_for_each_selector():
    style = Path(html.__file__).with_name("page.css").read_text()
    selectors = re.findall(r"^([^\s@}][^{]*?) \{", style, flags=re.MULTILINE)
    assert len(selectors) > 20
    assert len(set(selectors)) == len(selectors)
