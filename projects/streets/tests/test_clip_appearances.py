"""Looks as image operations, and sentences about them."""

import numpy as np
import open_clip
import pytest
from streets.clip.appearances import CONDITIONS, LOOK_NAMES, LOOKS, STYLES, WORLD_LOOKS, appear
from streets.clip.captions import (
    PHRASES,
    SYNONYMS,
    UNKNOWN,
    Meaning,
    draw_caption,
    meanings_of,
    truth,
)
from streets.clip.color_steps import duotone, invert, saturation, tone, veil
from streets.clip.texture_steps import blur, smear
from streets.looks import LOOKS as RENDERED

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import load_style_prompts


def _gradient() -> np.ndarray:
    """Smooth colours between 0.2 and 0.8, (48, 48, 3)."""
    y, x = np.mgrid[0:48, 0:48].astype(np.float32) / 47
    return 0.2 + 0.6 * np.stack([x, y, 0.5 * (x + y)], axis=2)


def test_every_prompt_of_both_packs_has_an_appearance_and_no_other() -> None:
    assert list(CONDITIONS) == list(load_style_prompts("driving_conditions"))
    assert list(STYLES) == list(load_style_prompts("art_styles"))
    assert tuple(LOOKS) == LOOK_NAMES


def test_bases_are_rendered_looks() -> None:
    assert set(WORLD_LOOKS) <= set(RENDERED)
    assert sum(WORLD_LOOKS.values()) == pytest.approx(1)
    for appearance in LOOKS.values():
        assert set(appearance.bases) <= set(WORLD_LOOKS)


def test_a_look_depends_on_the_generator_alone_and_varies() -> None:
    crop = (255 * _gradient()).astype(np.uint8)
    kept = crop.copy()
    for look in (*LOOK_NAMES, None):
        one, again, other = (appear(crop, look, np.random.default_rng(k)) for k in (1, 1, 2))
        assert one.dtype == np.uint8
        assert one.shape == crop.shape
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)
        assert np.array_equal(crop, kept)


def test_mean_colors_of_looks_are_what_their_words_say() -> None:
    crop = (255 * _gradient()).astype(np.uint8)
    rng = np.random.default_rng(0)
    before = crop.mean()

    def mean(look: str) -> np.ndarray:
        return np.mean([appear(crop, look, rng) for _ in range(20)], axis=(0, 1, 2))

    red, _, blue = mean("Volcanic Ember style")
    assert red > 3 * blue
    red, _, blue = mean("golden-hour")
    assert red > 1.5 * blue
    assert mean("dimly lit").mean() < 0.5 * before
    assert mean("blizzard-swept").mean() > 1.2 * before
    silent = mean("Silent Film style")
    assert np.ptp(silent) < 0.1 * np.ptp(mean("Tropical Mural style"))


def test_color_steps_follow_their_formulas() -> None:
    image, rng = _gradient(), np.random.default_rng(0)
    assert invert((1, 1))(image, rng) == pytest.approx(1 - image, abs=1e-5)
    color = np.array([0.1, 0.5, 0.9])
    assert veil((0.1, 0.5, 0.9), (0.25, 0.25))(image, rng) == pytest.approx(
        0.75 * image + 0.25 * color, abs=1e-5
    )
    grey = image @ np.array([0.299, 0.587, 0.114])
    assert saturation((0, 0))(image, rng) == pytest.approx(np.stack([grey] * 3, axis=2), abs=1e-5)
    assert tone((2, 2), (3, 3))(image, rng) == pytest.approx(3 * (image**2 - 0.5) + 0.5, abs=1e-4)
    painted = duotone((0, 0, 1), (1, 1, 0), (1, 1))(image, rng)
    assert painted == pytest.approx(np.stack([grey, grey, 1 - grey], axis=2), abs=1e-5)


def test_blurs_keep_the_mean() -> None:
    stripes = np.zeros((40, 40, 3), np.float32)
    stripes[::2] = 1  # rows of 1 and 0
    rng = np.random.default_rng(0)
    assert smear((5, 5), (0, 0))(stripes, rng) == pytest.approx(stripes, abs=1e-5)
    upright = smear((5, 5), (90, 90))(stripes, rng)[8:-8]
    assert np.abs(upright - 0.5).max() < 0.11
    assert blur((2, 2))(stripes, rng)[8:-8].mean() == pytest.approx(0.5, abs=0.01)


def test_captions_name_class_and_look_or_their_other_words() -> None:
    rng = np.random.default_rng(0)
    for class_id, name in enumerate(CITYSCAPES_19.names):
        for look in (UNKNOWN, 0, 25):
            names = (name, *SYNONYMS.get(name, ()))
            for _ in range(20):
                said = draw_caption(Meaning(class_id, look), rng)
                assert any(word in said for word in names)
                if look != UNKNOWN:
                    words = (LOOK_NAMES[look], *PHRASES.get(LOOK_NAMES[look], ()))
                    assert any(word in said for word in words)


def test_words_fit_classes_looks_and_text_tower() -> None:
    assert set(SYNONYMS) <= set(CITYSCAPES_19.names)
    assert set(PHRASES) == set(CONDITIONS)
    longest = max(LOOK_NAMES, key=len) + " person riding a bike"
    tokens = open_clip.tokenize([t(longest) for t in open_clip.OPENAI_IMAGENET_TEMPLATES])
    assert (tokens != 0).sum(dim=1).max() <= 40


def test_synonyms_and_phrases_are_of_one_class_or_look_only() -> None:
    names = [*CITYSCAPES_19.names, *(word for words in SYNONYMS.values() for word in words)]
    assert len(names) == len(set(names))
    phrases = [phrase for known in PHRASES.values() for phrase in known]
    assert len(phrases) == len(set(phrases))


def test_truth_agrees_with_a_table_made_by_hand() -> None:
    foggy_car, night_bus, some_car = Meaning(13, 0), Meaning(15, 16), Meaning(13, UNKNOWN)
    captions = [foggy_car, night_bus, Meaning(13, UNKNOWN), Meaning(UNKNOWN, 16), Meaning(13, 16)]
    assert truth([foggy_car, night_bus, some_car], captions).tolist() == [
        [1, -1, 1, -1, -1],
        [-1, 1, -1, 1, -1],
        [0, -1, 1, 0, 0],
    ]


def test_a_batch_has_each_caption_once_and_all_classes() -> None:
    images = [Meaning(13, 0), Meaning(13, 0), Meaning(15, 16), Meaning(2, UNKNOWN)]
    said = meanings_of(images)
    assert len(said) == len(set(said)) == 2 + 19 + 2
    assert (truth(images, said) == 1).sum(axis=1).tolist() == [3, 3, 3, 1]
