"""Weather effects against the formulas they implement."""

from dataclasses import replace

import numpy as np
import pytest
from streets.camera import Camera, Pose
from streets.classes import LABEL_ID
from streets.effects_air import Fog, Glow, RainStreaks, Sensor, SnowFlakes, koschmieder
from streets.effects_surface import Headlights, SnowCover, StreetLamps, WetGround
from streets.frame import Frame
from streets.light import Sky, sky_radiance
from streets.looks import LOOKS
from streets.raster import SKY_DEPTH
from streets.render import develop, shade
from streets.scenes import Scene


@pytest.fixture(scope="module")
def frame(scenes: list[Scene]) -> Frame:
    """A scene under fog's light, without fog."""
    return shade(scenes[0], LOOKS["fog"].light, (96, 192), np.random.default_rng(0))


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_fog_is_koschmieders_law_on_the_depth_map(frame: Frame) -> None:
    density = 0.03
    seen = Fog((density, density))(frame, _rng())
    for row, column in ((10, 20), (50, 96), (80, 150), (95, 5)):
        transmission = np.exp(-density * float(frame.depth[row, column]))
        for channel in range(3):
            surface = float(frame.radiance[row, column, channel])
            air = frame.light.horizon[channel]
            expected = surface * transmission + air * (1 - transmission)
            assert seen[row, column, channel] == pytest.approx(expected, rel=1e-4)


def test_fog_hides_the_sky_and_haze_does_not(frame: Frame) -> None:
    sky = frame.depth == SKY_DEPTH
    assert sky.any()
    fog = Fog((0.03, 0.03))(frame, _rng())
    np.testing.assert_allclose(
        fog[sky], np.broadcast_to(frame.light.horizon, fog[sky].shape), rtol=1e-5
    )
    shown = replace(frame, radiance=frame.radiance * 0 + 2)
    haze = Fog((0.001, 0.001), reach=200)(shown, _rng())
    share = np.exp(-0.2)
    np.testing.assert_allclose(haze[sky][0], 2 * share + (1 - share) * 0.62, atol=0.02)


def test_no_fog_changes_nothing_and_distance_only_loses_contrast() -> None:
    radiance = np.array([[[0.1, 0.5, 0.9], [0.9, 0.5, 0.1]]], np.float32)
    depth = np.full((1, 2), 40.0, np.float32)
    np.testing.assert_allclose(koschmieder(radiance, depth, 0.0, (1, 1, 1)), radiance, rtol=1e-5)
    seen = koschmieder(radiance, depth, 0.02, (1, 1, 1))
    before, after = radiance[0, 0] - radiance[0, 1], seen[0, 0] - seen[0, 1]
    np.testing.assert_allclose(after, before * np.exp(-0.8), atol=1e-6)


def test_a_low_sun_lights_the_sky_on_its_side_along_the_horizon() -> None:
    light = replace(LOOKS["dusk"].light, clouds=(0.0, 0.0))
    size, level = (64, 64), 0.15
    pose = Pose(position=(0, 1, 0), yaw=0, pitch=0.5, roll=0, field_of_view=1.2)
    camera = Camera.from_pose(pose, size)
    where = np.arange(size[0] * size[1])

    def seen(azimuth: float) -> np.ndarray:
        to_sun = np.array([np.sin(azimuth) * 0.98, level, np.cos(azimuth) * 0.98], np.float32)
        sky = Sky(to_sun=to_sun, cover=0.0, drift=np.zeros(2))
        rays = camera.ray_slopes(0.5)
        return sky_radiance(light, sky, camera, rays, where).reshape(*size, 3)

    ahead, behind = seen(0.0), seen(np.pi)
    assert ahead[40].mean() > 1.7 * behind[40].mean()
    assert ahead[40, :, 0].mean() > 1.5 * ahead[40, :, 2].mean()  # warm
    assert ahead[2].mean() < 0.6 * ahead[40].mean()


def test_snow_covers_what_faces_up_and_not_walls(frame: Frame) -> None:
    seen = SnowCover((1.0, 1.0), (1.0, 1.0))(frame, _rng())
    change = np.abs(seen - frame.radiance).max(axis=2)
    walls = (np.abs(frame.up) < 0.05) & (frame.label_ids == LABEL_ID["building"])
    assert walls.sum() > 500
    assert change[walls].max() == 0
    flat = frame.label_ids == LABEL_ID["sidewalk"]
    assert (change[flat & (frame.up > 0.99)] > 0.02).mean() > 0.9


def test_wet_ground_mirrors_what_stands_behind_it(frame: Frame) -> None:
    """A scene of one red wall on black ground: the ground turns red, upside down."""
    height, width = frame.depth.shape
    radiance = np.zeros_like(frame.radiance)
    radiance[20:40, :, 0] = 1.0
    ground = np.zeros((height, width), bool)
    ground[40:] = True
    scene = replace(
        frame,
        radiance=radiance,
        emission=np.zeros_like(radiance),
        ground=ground,
        label_ids=np.where(ground, LABEL_ID["road"], LABEL_ID["wall"]).astype(np.uint8),
        depth=np.full((height, width), 60.0, np.float32),
    )
    seen = WetGround(0.0, (1.0, 1.0))(scene, _rng())
    assert seen[45:56, :, 0].mean() > 0.1  # as far below the line as the wall is above
    assert seen[70:, :, 0].max() < 1e-3
    assert seen[..., 1:].max() == 0
    np.testing.assert_array_equal(seen[:40], radiance[:40])


def test_street_lamps_follow_the_inverse_square_law_with_the_cosine(frame: Frame) -> None:
    height, width = frame.depth.shape
    position = np.zeros((3, height, width), np.float32)
    position[0] = np.linspace(0, 40, width)
    lamp = np.array([[0.0, 8.0, 0.0]], np.float32)
    white = np.ones_like(frame.radiance)
    scene = replace(
        frame,
        position=position,
        lamps=lamp,
        radiance=0.5 * white,
        irradiance=white,
        label_ids=np.full((height, width), LABEL_ID["road"], np.uint8),
    )
    gain = StreetLamps(10.0, color=(1, 1, 1))(scene, _rng())[10, :, 0] - 0.5
    x = position[0, 10]
    expected = 0.5 * 10.0 * 8 / ((x**2 + 64) ** 1.5 + 4)
    np.testing.assert_allclose(gain[2:-2], expected[2:-2], rtol=0.05)


def test_headlights_light_the_near_road_and_spare_the_sky(frame: Frame) -> None:
    gain = (Headlights(30.0)(frame, _rng()) - frame.radiance).mean(axis=2)
    road = frame.label_ids == LABEL_ID["road"]
    near, far = road & (frame.depth < 10), road & (frame.depth > 40)
    assert gain[near].mean() > 5 * gain[far].mean() > 0
    assert gain[frame.label_ids == LABEL_ID["sky"]].max() == 0


def test_glow_spreads_a_share_of_the_emission(frame: Frame) -> None:
    emission = np.zeros_like(frame.radiance)
    emission[48, 96] = 10.0
    seen = Glow(0.5, 0.03)(replace(frame, emission=emission), _rng()) - frame.radiance
    assert seen.sum() == pytest.approx(0.5 * emission.sum(), rel=0.05)
    assert seen[48, 96, 0] > seen[48, 110, 0] > seen[48, 180, 0]


@pytest.mark.parametrize("effect", [RainStreaks((20, 20), 0.5), SnowFlakes((20, 20))])
def test_precipitation_brightens_a_dark_scene_in_spots(
    effect: RainStreaks | SnowFlakes, frame: Frame
) -> None:
    dark = replace(frame, radiance=np.zeros_like(frame.radiance))
    seen = effect(dark, _rng())
    assert seen.min() >= 0
    assert 0.02 < (seen[..., 0] > 0.02).mean() < 0.7


def test_sensor_noise_has_zero_mean_and_grows_with_its_setting(frame: Frame) -> None:
    gray = replace(frame, radiance=np.full_like(frame.radiance, 0.3))
    small, large = (Sensor(n, vignette=0.0)(gray, _rng()) - 0.3 for n in (0.05, 0.2))
    assert abs(float(small.mean())) < 3 * small.std() / np.sqrt(small[..., 0].size)
    assert large.std() == pytest.approx(4 * small.std(), rel=1e-3)


def test_display_is_monotone_and_keeps_black() -> None:
    ramp = np.linspace(0, 3, 200, dtype=np.float32).reshape(1, 200, 1).repeat(3, axis=2)
    shown = develop(ramp, 1.0)[0, :, 0].astype(int)
    assert shown[0] == 0
    assert (np.diff(shown) >= 0).all()
    assert shown[-1] > 240
