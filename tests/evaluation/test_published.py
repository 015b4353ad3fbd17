"""Published figures against the means their authors give, and the table that compares them."""

import math
from typing import Any

import pytest

from langdg_d2.evaluation import BenchmarkRun, published_figures, published_names, score_rows
from langdg_d2.evaluation.tables import PUBLISHED, Section, benchmark_sections
from langdg_d2.structures import CLASS_SUBSETS
from langdg_d2.utils.errors import LangDGError

MAIN = "famix_rn50_gta5"
# Mean of the eight targets as published beside the figures by target.
PUBLISHED_MEANS = {
    "": 38.88,
    "_freeze_nothing_no_restyling": 14.69,
    "_freeze_nothing_no_mixing": 20.39,
    "_freeze_nothing_source_styles": 18.70,
    "_freeze_nothing": 22.36,
    "_no_restyling": 32.44,
    "_no_mixing": 32.93,
    "_source_styles": 36.29,
    "_class_name_only": 37.29,
    "_random_characters_only": 37.35,
    "_style_only": 37.56,
    "_random_character_prompts": 38.08,
    "_source_and_mined_styles": 37.64,
}
NAMES_19 = CLASS_SUBSETS["19"]


def scores(miou: float, classes: str = "19", **more: float) -> dict[str, dict[str, float]]:
    return {"sem_seg": {"mIoU": miou, **more} | {f"IoU-{n}": miou for n in CLASS_SUBSETS[classes]}}


def compared(results: dict, **changes: Any) -> Section:
    arguments = {"protocol": "famix", "source": "gta5", "published": MAIN} | changes
    run = BenchmarkRun(**arguments)
    return benchmark_sections(score_rows(results, run), run)[PUBLISHED]


def cells(section: Section) -> list[list[str]]:
    return [list(section.table.columns), *section.table.to_numpy().tolist()]


def notes(results: dict, **changes: Any) -> str:
    return "\n".join(compared(results, **changes).notes)


@pytest.mark.parametrize("name", PUBLISHED_MEANS)
def test_figures_by_target_have_the_published_mean(name: str) -> None:
    row = published_figures(MAIN + name)
    assert row.mean == PUBLISHED_MEANS[name]
    if row.figures:
        mean = sum(row.figures.values()) / len(row.figures)
        assert mean == pytest.approx(row.mean, abs=0.00501)
    assert len(row.targets) == 8


def test_release_rows_are_those_of_its_readme() -> None:
    single = published_figures("famix_release_rn50_gta5_scale_0.5")
    assert single.inference == "whole image, scale 0.5"
    both = published_figures("famix_release_rn101_gta5_scales_1_0.5")
    assert both.inference == "whole image, scales 1 and 0.5"
    expected = [51.46, 56.95, 24.53, 43.33, 44.77, 47.39]
    assert [both.figures[target] for target in both.targets] == expected
    assert both.figures["acdc_fog"] == 47.39


def test_every_row_says_what_it_is_and_where_it_is_from() -> None:
    names = published_names()
    assert len(names) == len(PUBLISHED_MEANS) + 6
    for name in names:
        row = published_figures(name)
        assert row.about
        assert "CVPR 2024" in row.reference or "official FAMix release" in row.reference
        assert row.protocol == "famix"
        assert row.classes in CLASS_SUBSETS
        assert all(0 < value < 100 for value in row.figures.values())
        assert row.figures or row.mean is not None


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(LangDGError, match=f"no published figures 'famixx'.*'{MAIN}'"):
        published_figures("famixx")


def test_shared_targets_and_their_mean_are_compared() -> None:
    results = {
        "gta5": scores(90.0),
        "cityscapes": scores(50.0),
        "acdc_fog": scores(40.0),
        "idd": scores(60.0),
    }
    section = compared(results)
    assert cells(section) == [
        ["domain", "protocol", "ours", "published", "difference"],
        ["cityscapes", "famix", "50.00", "48.15", "+1.85"],
        ["acdc_fog", "famix", "40.00", "40.25", "-0.25"],
        ["mean of these 2", "famix", "45.00", "44.20", "+0.80"],
    ]
    missing = "bdd100k, mapillary, synthia, acdc_night, acdc_snow, acdc_rain"
    assert f"Published but not evaluated here: {missing}." in section.notes
    assert len(section.notes) == 2


def test_sentences_tell_when_protocol_inference_or_source_differ() -> None:
    results = {"cityscapes": scores(50.0)}
    assert "Protocols differ: ours 'full', published 'famix'" in notes(results, protocol="full")
    release = {"published": "famix_release_rn50_gta5_scales_1_0.5"}
    for listed in ("1 and 0.5", "0.5 and 1"):
        same = notes(results, inference=f"whole image, scales {listed}", **release)
        assert "Inference differs" not in same
    other = "whole image, scales 1 and 2"
    assert "Inference differs" in notes(results, inference=other, **release)
    flipped = notes(results, inference="whole image, scale 1, flip")
    assert "Inference differs: ours whole image, scale 1, flip, published whole image;" in flipped
    assert "Sources differ: ours synthia, published gta5" in notes(results, source="synthia")


@pytest.mark.parametrize("release", ["rn50", "rn101"])
def test_another_tower_is_named(release: str) -> None:
    results = {"cityscapes": scores(50.0)}
    for name in ("RN50-quickgelu", "RN101-quickgelu"):
        config = {"model": {"backbone": {"tower": {"name": name}}}}
        published = f"famix_release_{release}_gta5_scale_1"
        text = f"Models differ: ours CLIP {name}, published"
        found = text in notes(results, config=config, published=published)
        assert found is not name.startswith(f"{release.upper()}-")
    assert "Models differ" not in notes(results)


@pytest.mark.parametrize("weights", ["openai", "a/RN50.pt", "cc12m"])
def test_other_weights_are_named(weights: str) -> None:
    config = {"model": {"backbone": {"tower": {"name": "RN50-quickgelu", "weights": weights}}}}
    found = notes({"cityscapes": scores(50.0)}, config=config)
    assert ("ours CLIP RN50-quickgelu (cc12m)" in found) is (weights == "cc12m")


def test_a_row_of_a_mean_alone_is_compared_when_all_its_targets_are_there() -> None:
    name = f"{MAIN}_source_and_mined_styles"
    targets = published_figures(name).targets
    everything = {target: scores(10.0 * k) for k, target in enumerate(targets)}
    section = compared(everything, published=name)
    assert cells(section)[1:] == [["mean of 8 targets", "famix", "35.00", "37.64", "-2.64"]]
    del everything["synthia"]
    assert "No published target was evaluated." in notes(everything, published=name)


def test_the_published_mean_is_shown_as_its_authors_rounded_it() -> None:
    name = f"{MAIN}_no_mixing"  # of figures whose mean is 32.925
    everything = {
        target: scores(10.0 * k) for k, target in enumerate(published_figures(name).targets)
    }
    assert cells(compared(everything, published=name))[-1] == [
        "mean of 8 targets",
        "famix",
        "35.00",
        "32.93",
        "+2.07",
    ]
    # Of the targets, one is what ours was trained on: no mean of all is to be had.
    section = compared(everything, published=name, source="synthia")
    assert cells(section)[-1][0] == "mean of these 7"


def test_other_scored_classes_are_compared_by_their_own_mean_or_not_at_all() -> None:
    row = published_figures(MAIN)
    assert row.metric("19") == "mIoU"
    assert row.metric("16") == "mIoU_19"
    section = compared({"cityscapes": scores(50.0, classes="16")})
    assert cells(section)[1][2:] == ["\u2013", "48.15", "\u2013"]
    assert "ours has no mean over these 19 classes" in section.notes[-1]
    assert "no mean over" not in notes({"cityscapes": scores(50.0)})


def test_a_mean_that_is_undefined_is_a_dash() -> None:
    section = compared({"cityscapes": scores(math.nan), "acdc_fog": scores(40.0)})
    assert [row[2] for row in cells(section)[1:]] == ["\u2013", "40.00", "\u2013"]


def test_sets_that_are_not_the_published_ones_have_no_difference() -> None:
    results = {"cityscapes": scores(50.0), "acdc_fog": scores(40.0)}
    section = compared(results, sets={"cityscapes": "3 of 500 images"})
    assert [row[0::4] for row in cells(section)[1:]] == [
        ["cityscapes", "not comparable"],
        ["acdc_fog", "-0.25"],
        ["mean of these 2", "not comparable"],
    ]
    assert "cityscapes is not comparable with published figures: 3 of 500 images." in section.notes
    targets = published_figures(MAIN).targets
    everything = {target: scores(30.0) for target in targets}
    section = compared(everything, sets={"synthia": "2 of 9 images"})
    assert cells(section)[-1] == ["mean of 8 targets", "famix", "30.00", "38.88", "not comparable"]
