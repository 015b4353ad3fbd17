"""Colour jitter against torchvision's on Pillow images, and the distribution of its factors."""

import numpy as np
import pytest
import torchvision.transforms.functional as TF
from PIL import Image

from langdg_d2.data import ColorJitter
from langdg_d2.data.transforms import change_colors
from langdg_d2.utils.errors import LangDGError

THEIRS = {
    "brightness": TF.adjust_brightness,
    "contrast": TF.adjust_contrast,
    "saturation": TF.adjust_saturation,
}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (31, 45, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("factor", [0.2, 0.7, 1.0, 1.3, 1.8])
def test_each_change_equals_torchvisions_on_pillow_images(image, name, factor):
    expected = np.asarray(THEIRS[name](Image.fromarray(image), factor))
    assert (change_colors(image, {name: factor}) == expected).all()


def test_jitter_equals_torchvisions_on_pillow_images(image):
    jitter = ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8)
    for _ in range(100):
        transform = jitter.get_transform(image)
        picture = Image.fromarray(image)
        for name, factor in transform.change.keywords["factors"].items():
            picture = THEIRS[name](picture, factor)
        assert (transform.apply_image(image) == np.asarray(picture)).all()


@pytest.mark.parametrize("name", THEIRS)
def test_factor_one_changes_nothing(image, name):
    assert (change_colors(image, {name: 1.0}) == image).all()


def test_the_order_of_the_changes_is_the_one_asked_for(image):
    factors = {"saturation": 1.5, "brightness": 1.7, "contrast": 0.4}
    expected = image
    for name, factor in factors.items():
        expected = change_colors(expected, {name: factor})
    assert (change_colors(image, factors) == expected).all()
    assert (change_colors(image, dict(reversed(factors.items()))) != expected).any()


def test_factors_are_uniform_within_their_bounds_and_orders_equally_frequent(image):
    jitter = ColorJitter(brightness=0.8, contrast=0.4, saturation=2.0)
    drawn = [jitter.get_transform(image).change.keywords["factors"] for _ in range(3000)]
    factors = np.array([[one[name] for name in jitter.deviations] for one in drawn])
    lowest, highest = np.array([0.2, 0.6, 0.0]), np.array([1.8, 1.4, 3.0])
    assert (factors >= lowest).all()
    assert (factors <= highest).all()
    deviation = (highest - lowest) / np.sqrt(12)
    assert np.abs(factors.mean(0) - (lowest + highest) / 2).max() < 4 * deviation.max() / 3000**0.5
    assert np.allclose(factors.std(0), deviation, rtol=0.05)
    orders, counts = np.unique([[*one] for one in drawn], axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 3000 / 6 * 0.85


def test_labels_and_coordinates_stay(image):
    transform = ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8).get_transform(image)
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (transform.apply_segmentation(label) == label).all()
    coords = np.array([[1.0, 2.0]])
    assert (transform.apply_coords(coords) == coords).all()


def test_negative_deviation_is_refused():
    with pytest.raises(LangDGError, match=r"\[-0\.1\] must not be negative"):
        ColorJitter(brightness=0.5, contrast=-0.1, saturation=0.5)
