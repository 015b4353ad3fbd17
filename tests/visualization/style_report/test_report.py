"""The report as a whole: what it writes of ordinary and of strange banks."""

import math

import numpy as np
import pytest

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import StyleBankError
from langdg_d2.visualization.palettes import palette_named
from langdg_d2.visualization.style_report import (
    Neighbors,
    SourcePatch,
    StyleNeighbors,
    chosen_styles,
    write_style_report,
)
from langdg_d2.visualization.style_report.bank_parts import cosines_part
from langdg_d2.visualization.style_report.class_colors import class_colors
from langdg_d2.visualization.style_report.patch_part import neighbors_part

PALETTE = palette_named("classes", CITYSCAPES_19)

HOSTILE = "$\\frac</svg><script>alert(1)</script>\ud800\x00\n_" + "x" * 100


@pytest.fixture
def write(tmp_path):
    """Function that writes the report of a bank; gives the page and the names of all files."""

    def report(bank, **options):
        page = write_style_report(
            bank,
            tmp_path / "new/report",
            name="my <bank>",
            palette=PALETTE,
            projection="pca",
            **options,
        )
        return page.read_text(), sorted(path.name for path in page.parent.iterdir())

    return report


def test_a_bank_of_one_style_without_cosines_has_a_page_that_says_what_is_missing(write, make_bank):
    text, files = write(make_bank([1], [""]))
    assert write(make_bank([1], [""])) == (text, files)
    assert files == ["class_distances.png", "counts.png", "styles.html"]
    assert "A projection needs at least 3 styles" in text
    assert "The bank tells no cosines" in text
    assert "my &lt;bank&gt;" in text
    assert "1 styles of layer1 of tiny, from gta5." in text


def test_foreign_texts_are_neither_markup_nor_formulas(write, make_bank):
    bank = make_bank(
        [0, 1, 2, 255],
        [f"{HOSTILE} <b>", "_hidden sky", "ok sky", HOSTILE],
        cosines=[(0.1, 0.2), (0.0, math.nan), (-0.1, 0.3), (math.nan, math.nan)],
        class_names=("<b>", "a$b$c", "sky"),
        source=HOSTILE,
        settings={HOSTILE: [HOSTILE]},
    )
    patch = SourcePatch(1.5, 2, HOSTILE, np.zeros((9, 9, 3), np.uint8))
    around = [StyleNeighbors(row, Neighbors([patch], 1, 1.5)) for row in range(4)]
    text, files = write(bank, neighbors=around)
    assert files == [
        "class_distances.png",
        "cosine.png",
        "counts.png",
        "nearest_patches.png",
        "projection_pca.png",
        "styles.html",
    ]
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<b>" not in text
    assert len(text) < 1_000_000


def test_pictures_of_an_earlier_report_alone_are_removed(write, make_bank, tmp_path):
    folder = tmp_path / "new/report"
    patch = SourcePatch(1.5, 2, "a", np.zeros((9, 9, 3), np.uint8))
    bank = make_bank([0, 1, 2], ["a", "b", "c"], cosines=[(0.1, 0.2)] * 3)
    _, files = write(bank, neighbors=[StyleNeighbors(0, Neighbors([patch], 1, 1.5))])
    (folder / "projection_tsne.png").write_bytes(b"earlier")
    (folder / "mine.png").write_bytes(b"not of a report")
    optional = {"cosine.png", "nearest_patches.png", "projection_pca.png"}
    assert optional < set(files)
    assert set(write(bank)[1]) == {*files, "mine.png"} - {"nearest_patches.png"}
    assert set(write(make_bank([1], [""]))[1]) == {*files, "mine.png"} - optional


def test_an_empty_bank_is_refused_by_name(write, make_bank, tmp_path):
    with pytest.raises(StyleBankError, match="'my <bank>' holds no style"):
        write(make_bank([], []))
    assert not list(tmp_path.iterdir())


def test_the_table_of_cosines_averages_what_is_known(make_bank):
    bank = make_bank(
        [0, 0, 2],
        ["a road", "b road", "a sky"],
        cosines=[(0.1, 0.25), (0.2, math.nan), (math.nan, math.nan)],
    )
    colors = class_colors(bank.header, PALETTE)
    text = cosines_part(bank, colors).section.body
    cells = [row.split("<td>")[1:] for row in text.split("<tr>")]
    plain = [[cell.split("</td>")[0].split("</i>")[-1] for cell in row] for row in cells]
    assert ["road", "2", "0.150", "0.250", "0.150", "1"] in plain
    assert ["sky", "1", "\u2013", "\u2013", "\u2013", "1"] in plain
    assert ["all", "3", "0.150", "0.250", "0.150", "2"] in plain


def test_a_page_shows_only_so_many_pictures_and_the_file_all_of_them(make_bank):
    bank = make_bank([0], ["a road"])
    patch = SourcePatch(1.0, 0, "a", np.zeros((8, 8, 3), np.uint8))
    around = StyleNeighbors(0, Neighbors([patch] * 60, 60, 1.0))
    part = neighbors_part(bank, [around] * 6, own_class=True)
    assert part.section.body.count("<img") == 240
    assert "The patches of 2 more styles are in nearest_patches.png." in part.section.body
    assert part.files["nearest_patches.png"].startswith(b"\x89PNG")


def test_styles_to_look_for_are_those_asked_for_or_one_of_each_class(make_bank):
    bank = make_bank([2, 0, 2], ["a", "b", "c"])
    assert chosen_styles(bank, [2, 0, 2]) == [2, 0]
    rows = chosen_styles(bank, None)
    assert [bank.class_id[row].item() for row in rows] == [0, 2]
    with pytest.raises(StyleBankError, match=r"no styles \[3, -1\]; it has 3, 0 to 2"):
        chosen_styles(bank, [0, 3, -1])


def test_classes_have_the_palettes_colours_and_unknown_ones_their_own(make_bank):
    header = make_bank([0], ["a"], class_names=("x", "sky", "y")).header
    colors = class_colors(header, PALETTE)
    assert list(colors) == ["x", "sky", "y", "ignore"]
    assert colors["sky"] == (70 / 255, 130 / 255, 180 / 255)
    assert len(set(colors.values())) == 4
