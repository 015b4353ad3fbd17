"""Views of predictions, one or several models side by side, and what their colours mean."""

import numpy as np
import pytest

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    Prediction,
    draw_panels,
    draw_sem_seg,
    draw_view,
    legend,
    palette_named,
)
from langdg_d2.visualization.sem_seg import title_width

PALETTE = palette_named("classes", CITYSCAPES_19)
ROAD, SKY, CAR = (CITYSCAPES_19.names.index(name) for name in ("road", "sky", "car"))


def prediction(*, top: int = SKY, height: int = 60, width: int = 120) -> Prediction:
    """A class above road, surer on the right."""
    classes = np.full((height, width), ROAD, np.uint8)
    classes[: height // 2] = top
    confidence = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Prediction(
        image=image, classes=classes, confidence=confidence.copy(), entropy=1 - confidence
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
    with pytest.raises(LangDGError, match="panels must be of one size"):
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
