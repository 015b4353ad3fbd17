"""Class, confidence and entropy against plain formulas, and the pictures of them."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    Prediction,
    draw_panels,
    draw_sem_seg,
    draw_view,
    legend,
    palette_named,
)
from langdg_d2.visualization import prediction as module
from langdg_d2.visualization.sem_seg import title_width

PALETTE = palette_named("classes", CITYSCAPES_19)
ROAD, SKY, CAR = (CITYSCAPES_19.names.index(name) for name in ("road", "sky", "car"))


def predicted(image: np.ndarray, logits: torch.Tensor) -> Prediction:
    """As of a model with that many classes."""
    classes = LabelSpace([f"class {k}" for k in range(len(logits))])
    return Prediction.from_logits(image, logits, classes)


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slow(scores: list[float]) -> tuple[int, float, float]:
    """Class, confidence and relative entropy of one pixel."""
    powers = [math.exp(score - max(scores)) for score in scores]
    shares = [power / sum(powers) for power in powers]
    entropy = -sum(share * math.log(share) for share in shares) / math.log(len(shares))
    return scores.index(max(scores)), max(shares), entropy


@pytest.mark.parametrize("band", [1, 200, 1 << 22], ids=["a row", "a few rows", "all rows"])
def test_every_pixel_follows_the_formulas_however_rows_are_taken(
    band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BAND_VALUES", band)
    logits = 4 * torch.randn(5, 7, 9)
    result = predicted(image(7, 9), logits)
    assert (result.classes.dtype, result.confidence.dtype, result.entropy.dtype) == (
        np.uint8,
        np.float32,
        np.float32,
    )
    for y in range(7):
        for x in range(9):
            k, confidence, entropy = slow(logits[:, y, x].tolist())
            assert result.classes[y, x] == k
            assert result.confidence[y, x] == pytest.approx(confidence, rel=1e-5)
            assert result.entropy[y, x] == pytest.approx(entropy, abs=1e-5)


def test_equal_logits_are_undecided_and_one_large_one_is_certain() -> None:
    logits = torch.zeros(19, 1, 2)
    logits[3, 0, 1] = 1e4
    result = predicted(image(1, 2), logits)
    assert result.entropy[0].tolist() == pytest.approx([1, 0])
    assert result.confidence[0].tolist() == pytest.approx([1 / 19, 1])
    assert result.classes[0].tolist() == [0, 3]


def test_half_precision_logits_are_evaluated_in_single_precision() -> None:
    logits = torch.randn(19, 6, 8).to(torch.bfloat16)
    half, single = (predicted(image(6, 8), x) for x in (logits, logits.float()))
    assert np.array_equal(half.confidence, single.confidence)
    assert np.array_equal(half.entropy, single.entropy)


def test_a_near_tie_goes_to_the_larger_logit_although_the_probabilities_round_alike() -> None:
    close = torch.tensor([1000.0, math.nextafter(1000.0, 2000.0)], dtype=torch.float64).float()
    close[1] = torch.nextafter(close[0], torch.tensor(2000.0))
    result = predicted(image(1, 1), close.view(2, 1, 1))
    assert result.classes.item() == 1


def test_a_single_class_is_certain() -> None:
    result = predicted(image(2, 3), torch.randn(1, 2, 3))
    assert (result.confidence == 1).all()
    assert (result.entropy == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    logits = torch.zeros(3, 4, 4)
    logits[1, 2, 2] = bad
    with pytest.raises(LangDGError, match="not finite: the range of half precision"):
        predicted(image(4, 4), logits)


def test_logits_of_another_size_or_of_other_classes_are_refused() -> None:
    with pytest.raises(LangDGError, match=r"logits \(3, 4, 5\) do not match .*\(5, 4, 3\)"):
        predicted(image(5, 4), torch.zeros(3, 4, 5))
    with pytest.raises(LangDGError, match=r"logits \(3, 4, 5\) do not match .* 19 classes"):
        Prediction.from_logits(image(4, 5), torch.zeros(3, 4, 5), CITYSCAPES_19)


def test_a_smaller_one_averages_values_and_never_makes_up_classes() -> None:
    logits = torch.zeros(3, 4, 8)
    logits[2, :, :4] = 20
    small = predicted(image(4, 8), logits).resized(2, 4)
    assert small.classes.tolist() == [[2, 2, 0, 0]] * 2
    assert small.confidence[0].tolist() == pytest.approx([1, 1, 1 / 3, 1 / 3])
    assert small.entropy[0].tolist() == pytest.approx([0, 0, 1, 1], abs=1e-6)
    blocks = image(4, 8).reshape(2, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.image - blocks).max() <= 0.5


def prediction(*, top: int = SKY, height: int = 60, width: int = 120) -> Prediction:
    """A class above road, surer on the right."""
    classes = np.full((height, width), ROAD, np.uint8)
    classes[: height // 2] = top
    confidence = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Prediction(
        image=image,
        classes=classes,
        confidence=confidence.copy(),
        entropy=1 - confidence,
        label_space=CITYSCAPES_19,
    )


def colors_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_every_view_shows_its_part() -> None:
    one = prediction()
    expected = {
        "image": one.image,
        "overlay": draw_sem_seg(one.image, one.classes, PALETTE.metadata),
        "colors": np.array(PALETTE.colors, np.uint8)[one.classes],
        "confidence": PALETTE.paint_values(one.confidence),
        "entropy": PALETTE.paint_values(one.entropy),
    }
    for view, picture in expected.items():
        assert np.array_equal(draw_view(one, view, PALETTE), picture), view
    assert np.array_equal(expected["confidence"], expected["entropy"][:, ::-1])


def test_the_palette_colours_overlays_and_legend() -> None:
    safe = palette_named("colorblind", CITYSCAPES_19)
    picture = draw_panels({"a": prediction()}, views=["colors"], palette=safe)
    assert {safe.colors[ROAD], safe.colors[SKY]} <= colors_of(picture[60:])
    assert not {PALETTE.colors[ROAD], PALETTE.colors[SKY]} & colors_of(picture)


def test_a_single_view_is_the_view_with_a_legend_of_the_predicted_classes() -> None:
    one = prediction()
    picture = draw_panels({"a": one}, views=["colors"], palette=PALETTE)
    assert picture.shape[1] == 120
    assert np.array_equal(picture[:60], draw_view(one, "colors", PALETTE))
    assert PALETTE.colors[SKY] in colors_of(picture[60:])
    assert PALETTE.colors[CAR] not in colors_of(picture[60:])


def test_a_fixed_legend_gives_pictures_of_one_size_whatever_is_predicted() -> None:
    pictures = [
        draw_panels({"a": one}, views=["colors"], palette=PALETTE, classes=range(19))
        for one in (prediction(), prediction(top=ROAD))
    ]
    assert pictures[0].shape == pictures[1].shape
    assert set(PALETTE.colors) <= colors_of(pictures[0][60:])


def test_models_stand_side_by_side_with_a_row_for_each_view() -> None:
    left, right = prediction(), prediction(top=CAR)
    views = ["colors", "entropy"]
    picture = draw_panels({"source only": left, "recipe": right}, views=views, palette=PALETTE)
    half = picture.shape[1] - 120  # where the second column begins
    title = 20
    for row, view in enumerate(views):
        top = title + row * (title + 60)
        assert np.array_equal(picture[top : top + 60, :120], draw_view(left, view, PALETTE))
        assert np.array_equal(picture[top : top + 60, half:], draw_view(right, view, PALETTE))
        assert (picture[top - title : top, :120] < 128).any()  # a title
    below = colors_of(picture[2 * (title + 60) :])
    assert {PALETTE.colors[k] for k in (ROAD, SKY, CAR)} <= below
    assert tuple(PALETTE.paint_values(np.ones((1, 1)))[0, 0]) in below


def test_views_of_one_model_fill_about_a_square_row_by_row() -> None:
    one = prediction()
    views = ["image", "colors", "confidence"]
    picture = draw_panels({"a": one}, views=views, palette=PALETTE)
    second = picture.shape[1] - 120
    assert np.array_equal(picture[20:80, :120], one.image)
    assert np.array_equal(picture[20:80, second:], draw_view(one, "colors", PALETTE))
    assert np.array_equal(picture[100:160, :120], draw_view(one, "confidence", PALETTE))
    assert (picture[80:160, second:] == 255).all()


def test_values_have_a_scale_from_dark_to_bright_and_classes_have_none() -> None:
    one = prediction(width=300)
    picture = draw_panels({"a": one}, views=["confidence"], palette=PALETTE)
    strip = picture[60:]
    ends = PALETTE.paint_values(np.array([[0.0, 1.0]]))[0]
    assert np.array_equal(strip[10, 20], ends[0])
    assert np.array_equal(strip[10, 20 + 100 - 1], ends[1])
    assert draw_panels({"a": one}, views=["image"], palette=PALETTE).shape == (60, 300, 3)


def test_large_images_are_drawn_smaller_and_small_ones_as_they_are() -> None:
    one = prediction()
    picture = draw_panels({"a": one}, views=["image"], palette=PALETTE, longest_side=40)
    assert np.array_equal(picture, one.resized(20, 40).image)
    same = draw_panels({"a": one}, views=["image"], palette=PALETTE, longest_side=120)
    assert np.array_equal(same, one.image)


def test_narrow_and_tiny_images_are_drawn_too() -> None:
    one = prediction(height=3, width=2)
    picture = draw_panels({"a": one}, views=["colors", "entropy"], palette=PALETTE)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("views", [[], ["overlay", "depth"]])
def test_unknown_views_and_none_are_refused(views: list[str]) -> None:
    with pytest.raises(LangDGError, match="expected one or more of image, overlay, colors"):
        draw_panels({"a": prediction()}, views=views, palette=PALETTE)


def test_predictions_of_several_sizes_are_refused() -> None:
    both = {"a": prediction(), "b": prediction(width=100)}
    with pytest.raises(LangDGError, match="panels must have the same size"):
        draw_panels(both, views=["colors"], palette=PALETTE)


def test_panels_of_a_pixels_width_are_drawn() -> None:
    views = ["image", "colors", "confidence"]
    thin = prediction(height=400, width=20)
    picture = draw_panels({"a": thin}, views=views, palette=PALETTE, longest_side=20)
    assert np.array_equal(picture[20:40, :1], thin.resized(20, 1).image)
    alone = draw_panels({"a": thin}, views=["entropy"], palette=PALETTE, longest_side=20)
    assert alone.shape[0] == 20 + 20
    assert (alone[:20, 1:] == 255).all()


@pytest.mark.parametrize("width", [1, 40, 99])
def test_legends_and_titles_of_narrow_pictures_are_whole(width: int) -> None:
    views = ["overlay", "confidence"]
    narrow = prediction(height=64, width=width)
    picture = draw_panels({"a": narrow}, views=views, palette=PALETTE)
    names = legend([ROAD, SKY], PALETTE.metadata, width=picture.shape[1], row_height=20)
    assert picture.shape[1] >= title_width("vegetation", 20)
    assert any(
        np.array_equal(picture[top : top + len(names)], names)
        for top in range(len(picture) - len(names) + 1)
    )
    assert (picture[64 + 20 :, -1] == 255).all()  # no text of the legends reaches the border


def test_a_prediction_draws_shows_and_saves_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = prediction()
    expected = draw_panels({"": one}, views=["overlay"], palette=PALETTE)
    assert np.array_equal(one.overlay(), expected)
    assert np.array_equal(Image.open(io.BytesIO(one._repr_png_())), expected)
    one.save(tmp_path / "new/a.png")
    assert np.array_equal(Image.open(tmp_path / "new/a.png"), expected)
    one.save(tmp_path / "a.jpg", views=["colors"], palette="colorblind")
    safe = palette_named("colorblind", CITYSCAPES_19)
    drawn = draw_panels({"": one}, views=["colors"], palette=safe)
    with Image.open(tmp_path / "a.jpg") as written:
        assert written.format == "JPEG"
        assert np.abs(np.asarray(written).astype(int) - drawn).mean() < 8
    with pytest.raises(
        LangDGError, match=r"pictures '\.txt' cannot be written; name the file \.png"
    ):
        one.save(tmp_path / "a.txt")
    shown = []
    monkeypatch.setattr("PIL.ImageShow.show", lambda picture, *_, **__: shown.append(picture))
    one.show(views=["image"])
    assert np.array_equal(shown[0], one.image)
