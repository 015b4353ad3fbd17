"""Counts of classes, and the pieces of the page that show them."""

import re

import numpy as np
import pytest

from langdg_d2.app import ClassTally
from langdg_d2.app.parts import (
    confidence_scale,
    draw_difference,
    legend,
    note,
    percent,
    problem,
)
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization import Palette, Prediction, palette_named

CLASSES = np.array([[0, 0, 2], [0, 5, 2]], np.uint8)
CONFIDENCE = np.array([[0.5, 0.75, 1], [1, 0.25, 0.5]], np.float32)


def prediction(classes: np.ndarray = CLASSES, brightness: int = 100) -> Prediction:
    image = np.full((*classes.shape, 3), brightness, np.uint8)
    entropy = np.zeros(classes.shape, np.float32)
    return Prediction(
        image=image,
        classes=classes,
        confidence=CONFIDENCE,
        entropy=entropy,
        label_space=CITYSCAPES_19,
    )


@pytest.fixture(params=["classes", "colorblind"])
def palette(request: pytest.FixtureRequest) -> Palette:
    return palette_named(request.param, CITYSCAPES_19)


def test_a_tally_counts_pixels_and_averages_confidence_over_all_predictions() -> None:
    tally = ClassTally.of(prediction(), prediction(np.full((2, 3), 2, np.uint8)))
    assert tally.pixels == 12
    assert tally.classes == [2, 0, 5]
    np.testing.assert_allclose(tally.shares[[0, 2, 5]], [3 / 12, 8 / 12, 1 / 12])
    np.testing.assert_allclose(tally.confidence[[0, 2, 5]], [2.25 / 3, 5.5 / 8, 0.25])
    assert tally.mean_confidence == pytest.approx(2 * CONFIDENCE.mean() / 2)
    assert tally.confidence[1] == 0


def test_the_legend_names_what_was_seen_in_the_palettes_colours(palette: Palette) -> None:
    markup = legend(ClassTally.of(prediction()), palette)
    entries = re.findall(r"rgb\((\d+,\d+,\d+)\)[^<]*</i><b>(.+?)</b><span>(.+?)</span>", markup)
    assert entries == [
        (",".join(map(str, palette.colors[k])), palette.names[k], share)
        for k, share in ((0, "50.0 %"), (2, "33.3 %"), (5, "16.7 %"))
    ]
    assert re.findall(r"confidence'>(.+?)<", markup) == ["0.75", "0.75", "0.25"]


def test_the_scale_runs_from_the_colour_of_0_to_that_of_1(palette: Palette) -> None:
    colors = re.findall(r"rgb\((\d+),(\d+),(\d+)\)", confidence_scale(palette))
    ends = palette.paint_values(np.array([[0.0, 1.0]]))[0]
    np.testing.assert_array_equal(np.array([colors[0], colors[-1]], int), ends)


def test_the_difference_shows_new_colours_where_the_class_changed(palette: Palette) -> None:
    after = CLASSES.copy()
    after[0, 1] = 8
    drawn = draw_difference(prediction(), prediction(after), palette)
    expected = np.full((2, 3, 3), 35)
    expected[0, 1] = palette.colors[8]
    np.testing.assert_array_equal(drawn, expected)


def test_texts_are_escaped() -> None:
    for piece in (note("<b>1</b>"), problem("<b>1</b>")):
        assert "&lt;b&gt;1&lt;/b&gt;" in piece


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0 %"), (1e-6, "< 0.1 %"), (0.0006, "0.1 %"), (1, "100.0 %")]
)
def test_a_small_share_is_not_rounded_to_nothing(share: float, text: str) -> None:
    assert percent(share) == text
