"""Looks: what they may change and what they must leave alone."""

import numpy as np
import pytest
from streets.cities import GAME_CITY, INDUSTRIAL_TOWN, OLD_TOWN, SUN_METROPOLIS
from streets.classes import LABEL_ID
from streets.domains import DOMAINS, TARGET_LOOKS, VALIDATION_LOOKS
from streets.looks import LOOKS, get_look
from streets.render import Rendering, render
from streets.sample import draw_sample
from streets.scenes import Scene

from langdg_d2.utils.errors import LangDGError

_SIZE = (96, 192)


@pytest.fixture(scope="module")
def drawn(scenes: list[Scene]) -> dict[str, list[Rendering]]:
    """The same four scenes in every look."""
    return {
        name: [
            render(scene, look, _SIZE, np.random.default_rng(k))
            for k, scene in enumerate(scenes[:4])
        ]
        for name, look in LOOKS.items()
    }


def _brightness(renderings: list[Rendering], name: str | None = None) -> float:
    """Mean display value, of one class or of the whole image."""
    chosen = [
        r.image if name is None else r.image[r.label_ids == LABEL_ID[name]] for r in renderings
    ]
    return float(np.concatenate([pixels.reshape(-1, 3) for pixels in chosen]).mean())


@pytest.mark.parametrize("look", sorted(LOOKS))
def test_looks_leave_label_and_depth_alone(look: str, drawn: dict[str, list[Rendering]]) -> None:
    for mine, clear in zip(drawn[look], drawn["clear"], strict=True):
        np.testing.assert_array_equal(mine.label_ids, clear.label_ids)
        np.testing.assert_array_equal(mine.depth, clear.depth)


@pytest.mark.parametrize("look", sorted(set(LOOKS) - {"clear"}))
def test_looks_change_the_image(look: str, drawn: dict[str, list[Rendering]]) -> None:
    for mine, clear in zip(drawn[look], drawn["clear"], strict=True):
        difference = np.abs(mine.image.astype(float) - clear.image)
        assert difference.mean() > 6


def test_night_is_dark_but_for_lamps(drawn: dict[str, list[Rendering]]) -> None:
    assert _brightness(drawn["night"]) < 0.75 * _brightness(drawn["clear"])
    assert _brightness(drawn["night"], "sky") < 60
    assert max(r.image.min(axis=2).max() for r in drawn["night"]) > 150


def test_snow_whitens_the_ground(drawn: dict[str, list[Rendering]]) -> None:
    assert _brightness(drawn["snow"], "sidewalk") > 1.15 * _brightness(drawn["clear"], "sidewalk")
    for rendering in drawn["snow"]:
        ground = rendering.image[rendering.label_ids == LABEL_ID["sidewalk"]].astype(float)
        assert np.ptp(ground.mean(0)) < 20  # grey to white, whatever was below


def test_fog_and_rain_take_contrast_from_the_distance(drawn: dict[str, list[Rendering]]) -> None:
    def spread(renderings: list[Rendering]) -> float:
        values = [r.image[(r.depth > 50) & (r.depth < 400)].std(axis=0) for r in renderings]
        return float(np.mean(values))

    assert spread(drawn["fog"]) < 0.4 * spread(drawn["clear"])
    assert spread(drawn["rain"]) < 0.8 * spread(drawn["clear"])


def test_looks_of_one_city_share_scenes() -> None:
    labels = {
        look: draw_sample(seed=3, look=look, index=5, size=(48, 96)).label_ids for look in LOOKS
    }
    for look, label in labels.items():
        same = LOOKS[look].city is GAME_CITY
        assert np.array_equal(label, labels["clear"]) == same
    assert LOOKS["other_city"].city is OLD_TOWN
    assert LOOKS["third_city"].city is SUN_METROPOLIS
    assert LOOKS["smoggy_industry"].city is INDUSTRIAL_TOWN


def test_every_look_is_the_source_a_target_or_for_validation() -> None:
    assert [domain.look for domain in DOMAINS] == list(LOOKS)
    assert len(TARGET_LOOKS) >= 8
    assert set(LOOKS) - {"clear"} == {*TARGET_LOOKS, *VALIDATION_LOOKS}
    assert not set(TARGET_LOOKS) & set(VALIDATION_LOOKS)


def test_dusk_lies_between_day_and_night(drawn: dict[str, list[Rendering]]) -> None:
    night, dusk, day = (_brightness(drawn[look], "sky") for look in ("night", "dusk", "clear"))
    assert 1.5 * night < dusk < 0.9 * day


def test_a_cheap_camera_is_noisy_and_rarely_colour_true(
    drawn: dict[str, list[Rendering]],
) -> None:
    def grain(rendering: Rendering) -> float:  # of the sky, which has none of its own
        sky = rendering.label_ids == LABEL_ID["sky"]
        gray = rendering.image.astype(float).mean(axis=2)
        return float(np.median(np.abs(np.diff(gray, axis=1))[sky[:, 1:] & sky[:, :-1]]))

    def cast(rendering: Rendering) -> float:
        road = rendering.image[rendering.label_ids == LABEL_ID["road"]].astype(float).mean(0)
        return float(np.ptp(road))

    for measure in (grain, cast):
        cheap = np.mean([measure(r) for r in drawn["noisy_camera"]])
        assert cheap > 1.3 * np.mean([measure(r) for r in drawn["clear"]])


def test_samples_depend_on_seed_and_index_only_through_their_values() -> None:
    one = draw_sample(seed=3, look="rain", index=5, size=(48, 96))
    draw_sample(seed=8, look="night", index=1, size=(48, 96))
    again = draw_sample(seed=3, look="rain", index=5, size=(48, 96))
    np.testing.assert_array_equal(one.image, again.image)
    for other in ({"seed": 4, "index": 5}, {"seed": 3, "index": 6}):
        assert (draw_sample(look="rain", size=(48, 96), **other).image != one.image).mean() > 0.3


@pytest.mark.parametrize("size", [(16, 16), (37, 101), (128, 64)])
@pytest.mark.parametrize("look", sorted(LOOKS))
def test_any_size_works(look: str, size: tuple[int, int]) -> None:
    drawn = draw_sample(seed=0, look=look, index=2, size=size)
    assert drawn.image.shape == (*size, 3)
    assert drawn.image.dtype == drawn.label_ids.dtype == np.uint8
    assert drawn.label_ids.shape == drawn.depth.shape == size


def test_an_unknown_look_is_named_with_the_known_ones() -> None:
    with pytest.raises(LangDGError, match=r"'blizzard'.*clear.*snow"):
        get_look("blizzard")
