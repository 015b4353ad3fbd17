"""Counting style prompts."""

import math

import pytest

from langdg_d2.visualization.style_report.tally import style_prompts, tally_prompts


def test_a_style_prompt_is_the_text_without_the_name_of_its_class(make_bank):
    texts = {
        "Silk Road style road": "Silk Road style",  # the last mention
        "a photo of a road at night": "a photo of a at night",
        "ROAD": "(class name alone)",
        "Noir style broadway": "Noir style broadway",
        "": "(unknown)",
        " ": "(unknown)",
    }
    assert style_prompts(make_bank([0] * len(texts), list(texts))) == list(texts.values())
    bank = make_bank([1, 255, 255], ["Noir  traffic light", "photo", "ignore"])
    assert style_prompts(bank) == ["Noir", "photo", "(class name alone)"]


def test_tallies_count_by_class_and_average_what_is_known(make_bank):
    bank = make_bank(
        [0, 2, 0, 0, 255],
        ["Noir road", "Noir sky", "Retro road", "Noir road", "photo"],
        cosines=[(0.1, 0.2), (0.3, math.nan), (0.0, 0.5), (0.2, 0.4), (math.nan, math.nan)],
    )
    noir, retro, photo = tally_prompts(bank)
    assert noir.prompt == "Noir"
    assert noir.total == 3
    assert noir.counts == {"road": 2, "traffic light": 0, "sky": 1, "ignore": 0}
    assert (noir.cosine_before, noir.cosine_after) == pytest.approx((0.2, 0.3))
    assert [retro.prompt, photo.prompt] == ["Retro", "photo"]  # equally frequent: the alphabet
    assert math.isnan(photo.cosine_before)
    assert photo.counts["ignore"] == 1
