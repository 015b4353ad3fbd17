"""Overlays, pixel by pixel."""

import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.data import MetadataCatalog

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    draw_sem_seg,
    legend,
    side_by_side,
    title_strip,
)
from langdg_d2.visualization.sem_seg import encode, title_width

DATASET = "test_visualization"
IGNORE = CITYSCAPES_19.ignore_label
ROAD, SKY, CAR = (CITYSCAPES_19.names.index(name) for name in ("road", "sky", "car"))


@pytest.fixture
def metadata() -> Iterator[Any]:
    yield MetadataCatalog.get(DATASET).set(
        stuff_classes=list(CITYSCAPES_19.names),
        stuff_colors=list(CITYSCAPES_19.colors),
        ignore_label=IGNORE,
    )
    MetadataCatalog.remove(DATASET)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int = 60, width: int = 80) -> np.ndarray:
    """Sky over road, a car with a window of ignored pixels on the road."""
    label = np.full((height, width), ROAD, dtype=np.int64)
    label[: height // 2] = SKY
    label[height // 2 + 5 : -5, 20:50] = CAR
    label[height // 2 + 10 : -10, 28:42] = IGNORE
    label[:, -6:] = IGNORE
    return label


@pytest.mark.parametrize("ignore", [IGNORE, -1])
def test_ignored_pixels_keep_the_image(ignore: int, metadata: Any) -> None:
    image, label = noise(60, 80), scene()
    label[label == IGNORE] = ignore
    drawn = draw_sem_seg(image, label, metadata, alpha=0.8)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn[label == ignore], image[label == ignore])
    assert (drawn[label == SKY] != image[label == SKY]).any(axis=-1).mean() > 0.9


def test_nothing_but_ignored_pixels_is_the_image_itself(metadata: Any) -> None:
    image = noise(13, 29)
    assert np.array_equal(draw_sem_seg(image, np.full((13, 29), IGNORE), metadata), image)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0])
def test_a_region_is_the_blend_of_image_and_class_colour(alpha: float, metadata: Any) -> None:
    image, label = noise(60, 80), scene()
    drawn = draw_sem_seg(image, label, metadata, alpha=alpha)
    for k in (SKY, ROAD, CAR):
        # Outlines cover the border of a region, also along the image's own; hence its interior.
        region = np.pad(label == k, 1).astype(np.uint8)
        interior = cv2.erode(region, np.ones((7, 7), np.uint8))[1:-1, 1:-1] == 1
        expected = (1 - alpha) * image + alpha * np.array(CITYSCAPES_19.colors[k])
        assert interior.sum() > 30
        assert np.abs(drawn.astype(float) - expected)[interior].max() <= 3


def test_drawing_leaves_its_arguments_alone(metadata: Any) -> None:
    image, label = noise(60, 80), scene()
    draw_sem_seg(image, label, metadata)
    assert np.array_equal(image, noise(60, 80))
    assert np.array_equal(label, scene())


def test_labels_of_another_size_are_refused(metadata: Any) -> None:
    with pytest.raises(LangDGError, match=r"labels \(60, 80\) on an image \(30, 80, 3\)"):
        draw_sem_seg(noise(30, 80), scene(), metadata)


def test_panels_stay_as_they_are_below_their_titles() -> None:
    left, right = noise(60, 80), noise(60, 80)[::-1]
    picture = side_by_side({"left": left, "right": right})
    assert np.array_equal(picture[-60:, :80], left)
    assert np.array_equal(picture[-60:, -80:], right)
    titles = picture[:-60]
    assert (titles[:, :80] < 128).any()
    assert (titles[:, -80:] < 128).any()


def test_panels_of_several_sizes_are_refused() -> None:
    with pytest.raises(LangDGError, match=r"'b': \(10, 20, 3\)"):
        side_by_side({"a": noise(10, 10), "b": noise(10, 20)})
    with pytest.raises(LangDGError, match="same size"):
        side_by_side({})


def test_a_title_has_the_size_asked_for_and_dark_text() -> None:
    strip = title_strip("prediction", width=300, height=24)
    assert strip.shape == (24, 300, 3)
    assert strip.min() < 64
    assert (title_strip("", width=300, height=24) == 255).all()


def test_the_legend_shows_the_colours_of_its_classes_only(metadata: Any) -> None:
    strip = legend([ROAD, CAR, IGNORE, -1], metadata, width=400, row_height=24)
    assert strip.shape == (24, 400, 3)
    colors = {tuple(color) for color in np.unique(strip.reshape(-1, 3), axis=0).tolist()}
    assert CITYSCAPES_19.colors[ROAD] in colors
    assert CITYSCAPES_19.colors[CAR] in colors
    assert CITYSCAPES_19.colors[SKY] not in colors


def test_a_narrow_legend_wraps_and_an_empty_one_has_no_rows(metadata: Any) -> None:
    assert legend(range(19), metadata, width=300, row_height=24).shape[0] > 5 * 24
    assert legend([IGNORE], metadata, width=300, row_height=24).shape == (0, 300, 3)


def test_narrow_panels_get_whole_titles_and_legends(metadata: Any) -> None:
    picture = side_by_side({"a rather long title": noise(60, 8), "b": noise(60, 8)})
    column = title_width("a rather long title", 20)
    assert picture.shape == (80, 2 * column + 5, 3)
    assert np.array_equal(picture[20:, :8], noise(60, 8))
    assert (picture[20:, 8:column] == 255).all()
    strip = legend(range(19), metadata, width=8, row_height=24)
    assert (strip[:, -1] == 255).all()
    assert strip.shape[1] >= 48 + title_width("traffic light", 24) - 12


def test_titles_take_names_that_are_not_utf8() -> None:
    strips = [
        title_strip(text, width=200, height=24) for text in (os.fsdecode(b"stra\xdfe"), "stra?e")
    ]
    assert np.array_equal(*strips)


def test_encoded_pictures_keep_their_pixels_and_jpeg_nearly() -> None:
    for pixels in (noise(10, 12), noise(10, 12)[..., 0]):
        data = np.frombuffer(encode(pixels), np.uint8)
        back = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert np.array_equal(back if back.ndim == 2 else back[..., ::-1], pixels)
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = encode(flat, quality=90)
    assert data.startswith(b"\xff\xd8\xff")
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(back.astype(int) - flat).max() <= 3
    with pytest.raises(LangDGError, match=r"\(0, 4, 3\) has no pixel"):
        encode(flat[:0, :4])
