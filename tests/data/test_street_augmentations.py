"""Photometric distortion against Python's colour arithmetic, and crops that no class fills."""

import colorsys
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import LazyConfig, instantiate
from detectron2.data import transforms as T
from omegaconf import OmegaConf

from langdg_d2.data import PhotometricDistortion, RandomCropOfClasses
from langdg_d2.data.transforms import distort_colors
from langdg_d2.utils.errors import LangDGError

SOURCES = Path(__file__).parents[2] / "configs/common/data/sources.py"
NOTHING = {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)


def slow(pixel, brightness, contrast, saturation, hue, contrast_last):
    def clip(values, most=255.0):
        return [min(max(value, 0.0), most) for value in values]

    values = clip([value + brightness for value in pixel])
    if not contrast_last:
        values = clip([value * contrast for value in values])
    h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in values))
    values = colorsys.hsv_to_rgb((h + hue / 360) % 1, min(s * saturation, 1.0), v)
    values = [value * 255 for value in values]
    return clip([value * contrast for value in values]) if contrast_last else values


@pytest.mark.parametrize("contrast_last", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"brightness": -20.5},
        {"contrast": 1.4},
        {"saturation": 0.6},
        {"hue": -30.0},
        {"brightness": 31.0, "contrast": 0.7, "saturation": 1.5, "hue": 17.0},
    ],
)
def test_distortion_equals_slow_colour_arithmetic(image, change, contrast_last):
    settings = {**NOTHING, **change, "contrast_last": contrast_last}
    expected = [[slow(pixel.astype(float), **settings) for pixel in row] for row in image]
    found = distort_colors(image, **settings)
    assert found.dtype == np.uint8
    assert np.abs(found - np.array(expected)).max() <= 0.51


def test_no_distortion_changes_nothing(image):
    assert (distort_colors(image, **NOTHING, contrast_last=True) == image).all()


def test_distortions_are_drawn_as_published(image):
    drawn = [PhotometricDistortion().get_transform(image).change.keywords for _ in range(4000)]
    for name, (low, high) in {
        "brightness": (-32, 32),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-36, 36),
    }.items():
        values = np.array([one[name] for one in drawn])
        changed = values[values != NOTHING[name]]
        assert abs(len(changed) / 4000 - 0.5) < 0.04
        assert changed.min() >= low
        assert changed.max() <= high
        assert abs(changed.mean() - (low + high) / 2) < 0.03 * (high - low)
        assert changed.std() == pytest.approx((high - low) / 12**0.5, rel=0.05)
    assert abs(np.mean([one["contrast_last"] for one in drawn]) - 0.5) < 0.04


def test_labels_stay(image):
    label = np.arange(63, dtype=np.uint8).reshape(7, 9)
    inputs = T.AugInput(image, sem_seg=label)
    PhotometricDistortion()(inputs)
    assert (inputs.sem_seg == label).all()


def cropped(label, **settings):
    image = np.repeat(label[..., None], 3, axis=2)
    inputs = T.AugInput(image, sem_seg=label)
    RandomCropOfClasses(**{"crop_size": [8, 8], "max_share": 0.75, "ignore_label": 255} | settings)(
        inputs
    )
    assert (inputs.image[..., 0] == inputs.sem_seg).all()
    return inputs.sem_seg


def test_no_class_fills_a_crop():
    label = np.zeros((8, 40), np.uint8)
    label[:, 20:] = 1
    largest = [max((crop == k).mean() for k in (0, 1)) for crop in map(cropped, [label] * 400)]
    # 3 of the 33 crops have 3 to 5 columns of either class; ten tries may all miss them.
    assert np.mean(np.less(largest, 0.75)) == pytest.approx(1 - (30 / 33) ** 10, abs=0.08)


def test_ignored_pixels_do_not_count():
    label = np.full((8, 8), 255, np.uint8)
    label[0, :4], label[0, 4:] = 3, 4
    assert (cropped(label) == label).all()
    drawn = cropped(np.full((9, 9), 255, np.uint8))  # nothing is labelled: the last try
    assert drawn.shape == (8, 8)


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(LangDGError, match="of a class in a crop must be in 0..1"):
        RandomCropOfClasses(crop_size=[8, 8], max_share=share, ignore_label=255)


def test_street_crops_have_one_size():
    crops, mapper = LazyConfig.load(str(SOURCES), ("street_crops", "street_mapper"))
    cfg = OmegaConf.create({"model": {"classes": {"ignore_label": 255}}})
    cfg.mapper = mapper(crops([16, 20]))
    augmentations = instantiate(cfg.mapper).augmentations
    label = np.random.default_rng(0).integers(0, 3, (24, 40)).astype(np.uint8)
    edges = set()
    for _ in range(300):
        inputs = T.AugInput(np.zeros((24, 40, 3), np.uint8), sem_seg=label)
        edges.add(augmentations(inputs).transforms[0].new_h)
        assert inputs.image.shape == (16, 20, 3)
        assert inputs.sem_seg.shape == (16, 20)
    assert edges == {int(16 * k / 10) for k in range(5, 21)}
