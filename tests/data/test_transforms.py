"""Colour jitter against torchvision's definition, and the distribution of its factors."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF

from langdg_d2.data import ColorJitter
from langdg_d2.data.transforms import (
    ColorFactors,
    ColorTransform,
    change_brightness,
    change_contrast,
    change_saturation,
)

CASES = [
    (change_brightness, TF.adjust_brightness),
    (change_contrast, TF.adjust_contrast),
    (change_saturation, TF.adjust_saturation),
]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (31, 45, 3)).astype(np.uint8)


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.2, 0.7, 1.0, 1.3, 1.8])
def test_each_change_equals_torchvisions_up_to_rounding(image, ours, theirs, factor):
    expected = theirs(torch.from_numpy(image).permute(2, 0, 1), factor).permute(1, 2, 0).numpy()
    difference = np.abs(ours(image, factor).astype(int) - expected.astype(int))
    assert difference.max() <= 2  # two roundings: of the grey value and of the result
    assert difference.mean() < 1


@pytest.mark.parametrize(("change", "_"), CASES, ids=["brightness", "contrast", "saturation"])
def test_factor_one_changes_nothing(image, change, _):
    assert (change(image, 1.0) == image).all()


def test_the_order_of_the_changes_is_the_one_asked_for(image):
    factors = ColorFactors(brightness=1.7, contrast=0.4, saturation=1.5)
    order = ("saturation", "brightness", "contrast")
    step = change_saturation(image, 1.5)
    step = change_brightness(step, 1.7)
    expected = change_contrast(step, 0.4)
    assert (ColorTransform(factors, order).apply_image(image) == expected).all()
    assert (ColorTransform(factors, order[::-1]).apply_image(image) != expected).any()


def test_factors_are_uniform_within_their_bounds_and_orders_equally_frequent(image):
    jitter = ColorJitter(brightness=0.8, contrast=0.4, saturation=2.0)
    drawn = [jitter.get_transform(image) for _ in range(3000)]
    factors = np.array([t.factors for t in drawn])
    lowest, highest = np.array([0.2, 0.6, 0.0]), np.array([1.8, 1.4, 3.0])
    assert (factors >= lowest).all()
    assert (factors <= highest).all()
    deviation = (highest - lowest) / np.sqrt(12)
    assert np.abs(factors.mean(0) - (lowest + highest) / 2).max() < 4 * deviation.max() / 3000**0.5
    assert np.allclose(factors.std(0), deviation, rtol=0.05)
    orders, counts = np.unique([t.order for t in drawn], axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 3000 / 6 * 0.85


def test_labels_and_coordinates_stay(image):
    transform = ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8).get_transform(image)
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (transform.apply_segmentation(label) == label).all()
    coords = np.array([[1.0, 2.0]])
    assert (transform.apply_coords(coords) == coords).all()


def test_negative_deviation_is_refused():
    with pytest.raises(ValueError, match=r"\[-0\.1\] must not be negative"):
        ColorJitter(brightness=0.5, contrast=-0.1, saturation=0.5)
