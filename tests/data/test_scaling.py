"""Scaling and padding act on image and label alike, and pad without inventing a class."""

import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image

from langdg_d2.data import PadToSize, RandomCrop, RandomScale
from langdg_d2.utils.errors import LangDGError


def augment(augmentation, image, label):
    inputs = T.AugInput(image, sem_seg=label)
    augmentation(inputs)
    return inputs.image, inputs.sem_seg


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, (30, 50), dtype=np.uint8)
    return rng.integers(0, 256, (30, 50, 3), dtype=np.uint8), label


def test_scale_factors_fill_the_range_and_keep_the_shape_of_the_image(pair):
    scale = RandomScale(lowest=0.5, highest=2.0)
    np.random.seed(0)
    sizes = np.array([augment(scale, *pair)[1].shape for _ in range(400)])
    factors = sizes[:, 0] / 30
    assert factors.min() >= 0.46
    assert factors.max() <= 2.0
    assert abs(factors.mean() - 1.25) < 0.06
    # Both sides are cut to whole pixels after the same factor.
    assert (np.abs(sizes[:, 1] / 50 - factors) < 1 / 30).all()


def test_image_is_scaled_bicubic_and_label_to_the_nearest_pixel(pair):
    image, label = augment(RandomScale(lowest=1.5, highest=1.5), *pair)
    wanted = Image.fromarray(pair[0]).resize((75, 45), Image.BICUBIC)
    np.testing.assert_array_equal(image, wanted)
    np.testing.assert_array_equal(label, Image.fromarray(pair[1]).resize((75, 45), Image.NEAREST))


@pytest.mark.parametrize(
    ("size", "border"), [((36, 50), (3, 0)), ((33, 57), (1, 3)), ((9, 9), (0, 0))]
)
def test_small_images_get_a_black_border_that_is_ignored(pair, size, border):
    image, label = augment(PadToSize(size=size, label_fill=255), *pair)
    top, left = border
    assert label.shape == (max(30, size[0]), max(50, size[1]))
    inner = np.s_[top : top + 30, left : left + 50]
    np.testing.assert_array_equal(image[inner], pair[0])
    np.testing.assert_array_equal(label[inner], pair[1])
    label[inner], image[inner] = 255, 0
    assert (label == 255).all()
    assert (image == 0).all()


def test_every_crop_of_a_padded_image_has_the_size_asked_for(pair):
    np.random.seed(0)
    pipeline = T.AugmentationList(
        [
            RandomScale(lowest=0.5, highest=2.0),
            PadToSize(size=(40, 40), label_fill=255),
            RandomCrop(crop_size=(40, 40)),
            T.Resize((48, 48)),
        ]
    )
    for _ in range(30):
        image, label = augment(pipeline, *pair)
        assert image.shape == (48, 48, 3)
        assert label.shape == (48, 48)
        assert set(np.unique(label)) <= {*range(19), 255}


@pytest.mark.parametrize(("lowest", "highest"), [(0, 1), (2, 1), (-1, 1)])
def test_impossible_ranges_of_scales_are_refused(lowest, highest):
    with pytest.raises(LangDGError, match="0 < lowest <= highest"):
        RandomScale(lowest=lowest, highest=highest)
