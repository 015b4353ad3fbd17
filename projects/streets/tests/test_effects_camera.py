"""Effects of the camera against the formulas they implement, and the anisotropic haze."""

from dataclasses import replace

import numpy as np
import pytest
from streets.effects_air import Fog, SunHaze
from streets.effects_camera import (
    CheapLens,
    GlassDrops,
    Jpeg,
    Sharpening,
    SmallSensor,
    WrongSettings,
)
from streets.frame import Frame
from streets.looks import LOOKS
from streets.render import shade
from streets.scenes import Scene


@pytest.fixture(scope="module")
def frame(scenes: list[Scene]) -> Frame:
    """A scene under the light of dusk, without its air."""
    return shade(scenes[0], LOOKS["dusk"].light, (96, 192), np.random.default_rng(0))


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_haze_adds_henyey_greensteins_phase_to_koschmieder(frame: Frame) -> None:
    density, g, strength = 0.01, 0.6, 0.05
    seen = SunHaze((density, density), forward=g, strength=strength)(frame, _rng())
    plain = Fog((density, density))(frame, _rng())
    for row, column in ((10, 20), (50, 96), (80, 150)):
        ray = frame.position[:, row, column] - frame.camera.position
        cosine = float(ray @ frame.to_sun) / float(np.linalg.norm(ray))
        phase = strength * (1 - g**2) / (1 + g**2 - 2 * g * cosine) ** 1.5
        opacity = 1 - np.exp(-density * float(frame.depth[row, column]))
        added = phase * opacity * np.asarray(frame.light.sun)
        np.testing.assert_allclose(seen[row, column] - plain[row, column], added, rtol=1e-3)


def test_haze_is_brightest_toward_the_sun(frame: Frame) -> None:
    haze = SunHaze((0.05, 0.05), forward=0.7)
    forward = frame.camera.rotation[2]
    toward, away = (haze(replace(frame, to_sun=sun), _rng()) for sun in (forward, -forward))
    assert toward.mean() > 1.2 * away.mean()


def test_lens_shifts_red_and_blue_not_green(frame: Frame) -> None:
    """A white bar right of the middle: red moves outward, blue inward, by the given share."""
    height, width = frame.depth.shape
    radiance = np.zeros_like(frame.radiance)
    radiance[:, 160:164] = 1.0
    lens = CheapLens((0.05, 0.05), (0.0, 0.0), falloff=0.0, stray=0.0)
    seen = lens(replace(frame, radiance=radiance), _rng())[height // 2]
    places = (seen * np.arange(width)[:, None]).sum(0) / seen.sum(0)
    middle = (width - 1) / 2
    expected = middle + (161.5 - middle) * np.array([1.05, 1.0, 0.95])
    np.testing.assert_allclose(places, expected, atol=0.05)


def test_lens_falls_off_with_the_cosine(frame: Frame) -> None:
    flat = replace(frame, radiance=np.full_like(frame.radiance, 0.5))
    seen = CheapLens((0, 0), (0, 0), falloff=4.0, stray=0.2)(flat, _rng())
    height, width = frame.depth.shape
    x, y = (width / 2 - 0.5) / frame.camera.focal, (height / 2 - 0.5) / frame.camera.focal
    corner = 0.5 * (0.8 * (1 + x * x + y * y) ** -2 + 0.2)
    assert seen[0, 0, 1] == pytest.approx(corner, rel=1e-3)
    assert seen[height // 2, width // 2, 1] == pytest.approx(0.5, rel=1e-3)


def test_wrong_settings_scale_the_colours_by_powers_of_two(frame: Frame) -> None:
    seen = WrongSettings((1, 1), (0.5, 0.5), (-1, -1))(frame, _rng())
    gains = 2 ** np.array([1.5, 0.0, 0.5])
    np.testing.assert_allclose(seen, frame.radiance * gains, rtol=1e-5)


def test_small_sensor_noise_grows_with_the_root_of_the_light(frame: Frame) -> None:
    white = 1 / frame.light.exposure

    def noise(level: float, read: float) -> np.ndarray:
        flat = replace(frame, radiance=np.full_like(frame.radiance, level * white))
        return SmallSensor((0.05, 0.05), read)(flat, _rng()) - level * white

    bright, dim = noise(0.8, 0.0), noise(0.2, 0.0)
    assert bright.std() == pytest.approx(2 * dim.std(), rel=1e-3)
    assert abs(float(bright.mean())) < 0.05 * bright.std()
    assert noise(0.0, 0.02).std() == pytest.approx(0.02 / 0.05 * noise(1.0, 0.0).std(), rel=1e-3)
    red, green = bright[..., 0].ravel(), bright[..., 1].ravel()
    assert abs(np.corrcoef(red, green)[0, 1]) < 0.05  # colour noise, not grey


def test_drops_turn_the_view_upside_down_and_leave_the_rest(frame: Frame) -> None:
    """White above, black below: inside a drop it is the other way round."""
    height = len(frame.depth)
    radiance = np.zeros_like(frame.radiance)
    radiance[: height // 2] = 1.0
    scene = replace(frame, radiance=radiance)
    seen = GlassDrops((40, 40), (0.06, 0.06))(scene, _rng())
    changed = np.abs(seen - radiance).max(axis=2) > 0.5
    assert 0.01 < changed.mean() < 0.25
    assert (seen[changed & (radiance[..., 0] == 0)] > 0.5).all()
    np.testing.assert_array_equal(scene.radiance, radiance)
    none = GlassDrops((0, 0), (0.06, 0.06))(scene, _rng())
    np.testing.assert_array_equal(none, radiance)


def test_sharpening_overshoots_at_edges_and_keeps_flat_areas() -> None:
    image = np.full((40, 40, 3), 80, np.uint8)
    image[:, 20:] = 160
    seen = Sharpening(1.0)(image, _rng())
    assert seen[20, 19, 0] < 75
    assert seen[20, 20, 0] > 165
    assert (seen[:, :10] == 80).all()
    assert (seen[:, -10:] == 160).all()


def test_jpeg_error_grows_at_lower_quality() -> None:
    image = np.random.default_rng(0).integers(0, 60, (64, 64, 3)).astype(np.uint8)
    image[..., 0] += 150
    fine, coarse = (Jpeg((q, q))(image, _rng()) for q in (95, 10))
    fine_loss, coarse_loss = (np.abs(s.astype(float) - image).mean() for s in (fine, coarse))
    assert fine_loss < coarse_loss
    for seen in (fine, coarse):
        assert seen.dtype == np.uint8
        assert seen[..., 0].mean() > 120 + seen[..., 2].mean()
