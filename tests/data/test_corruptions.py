"""Corruptions: their formulas, their severities, and that an image is always corrupted alike."""

import colorsys
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import CORRUPTIONS, Corruption, TestMapper
from langdg_d2.data.corruptions import disk
from langdg_d2.utils.errors import LangDGError

SEVERITIES = (1, 2, 3, 4, 5)
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
# As printed in the released code of ImageNet-C.
CONSTANTS = {
    "gaussian_noise": [0.08, 0.12, 0.18, 0.26, 0.38],
    "shot_noise": [60, 25, 12, 5, 3],
    "impulse_noise": [0.03, 0.06, 0.09, 0.17, 0.27],
    "speckle_noise": [0.15, 0.2, 0.35, 0.45, 0.6],
    "gaussian_blur": [1, 2, 3, 4, 6],
    "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    "brightness": [0.1, 0.2, 0.3, 0.4, 0.5],
    "contrast": [0.4, 0.3, 0.2, 0.1, 0.05],
    "saturate": [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
    "jpeg_compression": [25, 18, 15, 10, 7],
    "pixelate": [0.6, 0.5, 0.4, 0.3, 0.25],
}


def corrupted(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    return Corruption(name=name, severity=severity).get_transform(image).apply_image(image)


def grey(level: int, size: tuple[int, int] = (200, 200)) -> np.ndarray:
    return np.full((*size, 3), level, dtype=np.uint8)


@pytest.fixture
def scene() -> np.ndarray:
    """Smooth colours with edges, black, white and grey parts; odd sizes."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (6, 9, 3)).astype(np.uint8))
    image = np.array(small.resize((91, 67), Image.Resampling.BICUBIC))
    image[:9, :9], image[:9, -9:], image[-9:, :9] = 0, 255, 77
    return image


def per_pixel(image: np.ndarray, change) -> np.ndarray:
    """Reference: `change` on hue, saturation and value of every pixel, rounded down."""
    output = np.empty_like(image)
    for place in np.ndindex(*image.shape[:2]):
        changed = change(*colorsys.rgb_to_hsv(*(image[place] / 255)))
        output[place] = [int(255 * channel + 1e-6) for channel in colorsys.hsv_to_rgb(*changed)]
    return output


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """Largest difference in levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("name", CONSTANTS)
def test_severities_are_those_of_the_paper(name):
    assert set(CORRUPTIONS) == set(CONSTANTS)
    flat = [p if len(p) > 1 else p[0] for p in CORRUPTIONS[name].parameters]
    assert flat == CONSTANTS[name]


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_shape_type_and_the_image_given_are_kept(scene, name, severity):
    before = scene.copy()
    output = corrupted(scene, name, severity)
    assert output.shape == scene.shape
    assert output.dtype == np.uint8
    assert (scene == before).all()
    assert (output != scene).any()


@pytest.mark.parametrize("name", CONSTANTS)
def test_an_image_is_corrupted_alike_whenever_and_in_whatever_order(scene, name):
    first = corrupted(scene, name, 3)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    corrupted(scene[::-1], name, 3)
    assert (corrupted(scene.copy(), name, 3) == first).all()
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize("name", NOISES)
def test_noise_differs_between_images_and_between_pixels(name):
    one, other = grey(100), grey(100)
    other[0, 0, 0] = 101
    first, second = corrupted(one, name, 3), corrupted(other, name, 3)
    assert (first != second).mean() > 0.05
    assert len(np.unique(first)) > 2


@pytest.mark.parametrize("name", sorted(set(CONSTANTS) - {"saturate"}))
def test_every_severity_is_worse_than_the_one_before(scene, name):
    errors = [
        np.abs(corrupted(scene, name, severity).astype(float) - scene).mean()
        for severity in SEVERITIES
    ]
    # Block borders of pixelation fall differently at every factor.
    slack = 0.2 * errors[-1] if name == "pixelate" else 0
    assert all(a < b + slack for a, b in pairwise(errors)), errors
    assert errors[-1] > 1.3 * errors[0]


def test_gaussian_noise_has_its_mean_and_deviation():
    values = corrupted(grey(128), "gaussian_noise", 2) / 255
    assert values.std() == pytest.approx(0.12, rel=0.01)
    assert values.mean() == pytest.approx(127.5 / 255, abs=0.001)  # rounded down


def test_shot_noise_counts_poisson_distributed_photons():
    values = corrupted(grey(102), "shot_noise", 1) / 255  # intensity 0.4
    assert values.mean() == pytest.approx(0.4 - 0.5 / 255, abs=0.002)
    assert values.var() == pytest.approx(0.4 / 60, rel=0.03)
    photons = values * 60
    assert np.abs(photons - photons.round()).max() < 60 / 255


@pytest.mark.parametrize(("severity", "share"), [(1, 0.03), (5, 0.27)])
def test_impulse_noise_makes_half_of_its_share_black_and_half_white(severity, share):
    output = corrupted(grey(128), "impulse_noise", severity)
    assert set(np.unique(output)) == {0, 128, 255}
    assert (output == 0).mean() == pytest.approx(share / 2, rel=0.06)
    assert (output == 255).mean() == pytest.approx(share / 2, rel=0.06)
    channels = output == 128
    assert (channels[..., 0] != channels[..., 1]).mean() > share / 2  # independent channels


def test_speckle_noise_grows_with_the_intensity_and_leaves_black():
    assert (corrupted(grey(0), "speckle_noise", 5) == 0).all()
    for level in (60, 120):
        values = corrupted(grey(level), "speckle_noise", 1)
        assert values.std() == pytest.approx(0.15 * level, rel=0.03)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_of_a_bright_line_is_the_gaussian(severity):
    deviation = CONSTANTS["gaussian_blur"][severity - 1]
    image = grey(0, (5, 101))
    image[:, 50] = 255
    distance = np.arange(101) - 50
    weights = np.exp(-(distance**2) / (2 * deviation**2)) * (np.abs(distance) <= 4 * deviation)
    expected = np.broadcast_to((255 * weights / weights.sum())[:, None], (5, 101, 3))
    assert np.abs(corrupted(image, "gaussian_blur", severity) - expected).max() < 1.01


@pytest.mark.parametrize(("radius", "pixels"), [(3, 29), (4, 49), (6, 113)])
def test_disk_is_flat_within_its_radius_and_sums_to_one(radius, pixels):
    weights = disk(radius, 0.1)
    assert weights.shape == (17, 17)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0.5 / pixels).sum() == pixels
    assert weights[8, 8] == pytest.approx(1 / pixels, rel=1e-3)
    assert disk(10, 0.5).shape == (21, 21)


def test_defocus_blur_spreads_a_point_over_the_disk():
    image = grey(0, (41, 41))
    image[20, 20] = 255
    output = corrupted(image, "defocus_blur", 2)
    expected = np.zeros((41, 41))
    expected[12:29, 12:29] = 255 * disk(4, 0.5)
    assert np.abs(output - expected[..., None]).max() < 1.01


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_raises_the_value_of_hsv(scene, severity):
    rise = CONSTANTS["brightness"][severity - 1]
    expected = per_pixel(scene, lambda h, s, v: (h, s, min(1, v + rise)))
    assert difference(corrupted(scene, "brightness", severity), expected) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_saturate_scales_and_raises_the_saturation_of_hsv(scene, severity):
    factor, rise = CONSTANTS["saturate"][severity - 1]
    expected = per_pixel(scene, lambda h, s, v: (h, min(1, s * factor + rise), v))
    assert difference(corrupted(scene, "saturate", severity), expected) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_scales_the_distance_from_the_mean_of_every_channel(scene, severity):
    factor = CONSTANTS["contrast"][severity - 1]
    mean = scene.mean(axis=(0, 1))
    expected = np.floor((scene - mean) * factor + mean)
    assert difference(corrupted(scene, "contrast", severity), expected) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_compression_is_that_of_the_quality(scene, severity):
    file = BytesIO()
    Image.fromarray(scene).save(file, "JPEG", quality=CONSTANTS["jpeg_compression"][severity - 1])
    expected = np.array(Image.open(file))
    assert (corrupted(scene, "jpeg_compression", severity) == expected).all()


def test_pixelate_gives_square_blocks_of_mean_colour():
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    blocks = image.reshape(8, 4, 12, 4, 3).mean(axis=(1, 3))
    expected = blocks.repeat(4, axis=0).repeat(4, axis=1)
    # Rounded after the rows and again after the columns.
    assert np.abs(corrupted(image, "pixelate", 5) - expected).max() < 1.01


def test_mapper_corrupts_the_image_and_leaves_the_label(tmp_path, scene):
    label = np.random.default_rng(2).integers(0, 19, scene.shape[:2]).astype(np.uint8)
    Image.fromarray(scene).save(tmp_path / "image.png")
    Image.fromarray(label).save(tmp_path / "label.png")
    record = {
        "file_name": str(tmp_path / "image.png"),
        "sem_seg_file_name": str(tmp_path / "label.png"),
        "label_encoding": "train ids",
    }
    mapper = TestMapper(augmentations=[Corruption(name="gaussian_noise", severity=4)])
    output = mapper(record)
    assert (output["sem_seg"].numpy() == label).all()
    image = output["image"].numpy().transpose(1, 2, 0)
    assert (image == corrupted(scene, "gaussian_noise", 4)).all()


@pytest.mark.parametrize(
    ("name", "severity", "message"),
    [
        ("fog", 1, "corruption 'fog' is unknown; choose one of .*contrast"),
        ("contrast", 0, r"severity 0 of corruption 'contrast', expected 1 to 5"),
        ("contrast", 6, "severity 6"),
    ],
)
def test_unknown_corruption_or_severity_is_named_with_the_choice(name, severity, message):
    with pytest.raises(LangDGError, match=message):
        Corruption(name=name, severity=severity)
