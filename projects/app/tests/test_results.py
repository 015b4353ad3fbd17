"""Pictures, clips and tables that the page shows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from results import (
    ClassSummary,
    draw_difference,
    percent,
    predict_upload,
    restyle_upload,
    style_table,
)
from torch import nn
from uploads import Limits, Upload

from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    Palette,
    Prediction,
    Predictor,
    VideoFile,
    draw_view,
    palette_named,
)

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


def cells(table: str) -> list[list[str]]:
    """Texts of a table's rows, without the head."""
    rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in table.split("<tr>")]
    return [[re.sub(r"<.*?>|\s+(?=<)|^\s+", "", cell) for cell in row] for row in rows if row]


@pytest.fixture(params=["classes", "colorblind"])
def palette(request: pytest.FixtureRequest) -> Palette:
    return palette_named(request.param, CITYSCAPES_19)


def test_an_image_is_shown_as_the_library_draws_it(
    models: dict[str, Any], image_file: Path, palette: Palette
) -> None:
    predictor = models["predictors"]["tiny"]
    (shown,) = predict_upload(Upload(image_file, models["limits"]), predictor, palette)
    expected = predictor(image_file)
    for view in ("overlay", "confidence"):
        np.testing.assert_array_equal(shown[view], draw_view(expected, view, palette))
    assert "video" not in shown
    names = {name for name, _, _ in cells(shown["legend"])}
    assert names == {CITYSCAPES_19.names[k] for k in np.unique(expected.classes)}
    assert f"96 x 72 pixels · mean confidence {expected.confidence.mean():.2f}" in shown["facts"]


def test_a_clip_becomes_a_video_of_its_first_frames(
    models: dict[str, Any], clip_file: Path, palette: Palette
) -> None:
    upload = Upload(clip_file, models["limits"])
    steps = predict_upload(upload, models["predictors"]["tiny"], palette)
    assert [next(steps) for _ in range(3)] == [1, 2, 3]
    shown = next(steps)
    assert "only the first 3 frames" in shown["facts"]
    times = [frame.time for frame in VideoFile(path=Path(shown["video"]))]
    assert times == pytest.approx([0, 0.08, 0.16], abs=1e-3)
    assert next(steps, None) is None
    assert not Path(shown["video"]).exists()


def test_a_style_is_shown_before_and_after_with_its_cosines(
    models: dict[str, Any], image_file: Path, palette: Palette
) -> None:
    predictor, upload = models["predictors"]["tiny"], Upload(image_file, models["limits"])
    facts, before, after, difference, tables = restyle_upload(
        upload, predictor, palette, models["styles"], prompt="<i>noir</i>", steps=2
    )
    expected = predictor(image_file)
    np.testing.assert_array_equal(before, draw_view(expected, "overlay", palette))
    assert after.shape == difference.shape == before.shape
    rows = [row for row in cells(tables) if len(row) == 4]
    assert rows
    for name, text, cosine_before, cosine_after in rows:
        assert name in {CITYSCAPES_19.names[k] for k in np.unique(expected.classes)}
        assert text == f"&lt;i&gt;noir&lt;/i&gt; {name}"
        assert float(cosine_before) <= float(cosine_after)
    assert "of the pixels change class" in facts


class Last(nn.Module):
    """Predicts the last of 25 own classes everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.classes = LabelSpace([f"own class {k}" for k in range(25)])

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, torch.Tensor]]:
        sizes = [tuple(x["image"].shape[1:]) for x in inputs]
        return [{"sem_seg": torch.arange(25.0)[:, None, None].expand(25, *size)} for size in sizes]


def test_own_classes_have_their_names_and_colours(image_file: Path) -> None:
    own = Predictor(model=Last())
    colors = palette_named("classes", own.classes)
    (shown,) = predict_upload(Upload(image_file, Limits(1, 99, 1)), own, colors)
    assert cells(shown["legend"])[0][:2] == ["own class 24", "100.0 %"]
    assert "rgb({},{},{})".format(*own.classes.colors[24]) in shown["legend"]
    assert np.array_equal(shown["overlay"], draw_view(own(image_file), "overlay", colors))
    with pytest.raises(LangDGError, match="only for the Cityscapes classes"):
        palette_named("colorblind", own.classes)


def test_the_legend_counts_pixels_and_averages_confidence_over_all_predictions(
    palette: Palette,
) -> None:
    summary = ClassSummary(prediction(), prediction(np.full((2, 3), 2, np.uint8)))
    assert cells(summary.legend(palette)) == [
        [CITYSCAPES_19.names[2], "66.7 %", "0.69"],
        [CITYSCAPES_19.names[0], "25.0 %", "0.75"],
        [CITYSCAPES_19.names[5], "8.3 %", "0.25"],
    ]
    assert summary.mean_confidence == pytest.approx(CONFIDENCE.mean())


def test_the_legend_has_the_palettes_colours(palette: Palette) -> None:
    found = re.findall(r"rgb\((\d+),(\d+),(\d+)\)", ClassSummary(prediction()).legend(palette))
    assert [tuple(map(int, color)) for color in found] == [palette.colors[k] for k in (0, 2, 5)]


def test_the_difference_shows_new_colours_where_the_class_changed(palette: Palette) -> None:
    after = CLASSES.copy()
    after[0, 1] = 8
    drawn = draw_difference(prediction(), prediction(after), palette)
    expected = np.full((2, 3, 3), 35)
    expected[0, 1] = palette.colors[8]
    np.testing.assert_array_equal(drawn, expected)


def test_texts_of_styles_are_escaped(
    models: dict[str, Any], scene: Callable[..., np.ndarray]
) -> None:
    model = models["predictors"]["tiny"].model
    bank: StyleBank = models["styles"](scene(), model, prompt="<b>1</b>", steps=0).bank
    assert "&lt;b&gt;1&lt;/b&gt;" in style_table(bank)
    assert "<b>" not in style_table(bank)


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0 %"), (1e-6, "< 0.1 %"), (0.0006, "0.1 %"), (1, "100.0 %")]
)
def test_a_small_share_is_not_rounded_to_nothing(share: float, text: str) -> None:
    assert percent(share) == text
