"""Means over domains and the names and order of results."""

import math

import pytest

from langdg_d2.evaluation import headline_figures
from langdg_d2.evaluation.results import (
    mean_over,
    mean_over_targets,
    ordered_domains,
    row_label,
    scored_classes,
    subset_headlines,
)
from langdg_d2.structures import CLASS_SUBSETS

NAN = math.nan


def test_mean_of_targets_leaves_out_source_and_skips_classes_a_target_lacks(scores: dict) -> None:
    mean = mean_over_targets(scores, source="gta")["sem_seg"]
    assert mean == {
        "mIoU": pytest.approx((200 / 3 + 20) / 2),
        "pixel_accuracy": 70.0,
        "IoU-road": 80.0,
        "IoU-train": 10.0,
    }


def test_mean_is_missing_where_a_target_has_no_score() -> None:
    results = {"fog": {"sem_seg": {"mIoU": 50.0, "IoU-train": NAN}}, "night": {"sem_seg": {}}}
    mean = mean_over_targets(results, source=None)["sem_seg"]
    assert math.isnan(mean["mIoU"])
    assert math.isnan(mean["IoU-train"])


def test_groups_do_not_count_in_the_mean_of_targets(scores: dict) -> None:
    results = scores | {"mean of acdc": {"sem_seg": {"mIoU": 0.0}}}
    with_group = mean_over_targets(results, source="gta")["sem_seg"]
    assert with_group["mIoU"] == pytest.approx((200 / 3 + 20) / 2)


def test_a_mean_is_over_the_named_domains_only(scores: dict) -> None:
    assert mean_over(scores, ["gta", "night"])["sem_seg"]["pixel_accuracy"] == 72.5
    assert mean_over(scores, []) == {}


def test_rows_are_source_targets_groups_and_the_overall_mean(scores: dict) -> None:
    results = {"mean": {}, "fog": {}, "mean of acdc": {}, "rain": {}} | scores
    expected = ["gta", "fog", "rain", "night", "mean of acdc", "mean"]
    assert ordered_domains(results, "gta") == expected
    assert [row_label(domain, "gta") for domain in expected[-3:]] == [
        "night",
        "mean of acdc",
        "mean of unseen targets",
    ]
    assert row_label("gta", "gta") == "gta (source)"


@pytest.mark.parametrize("subset", ["19", "16", "13"])
def test_scored_classes_are_named_by_their_subset_in_any_order(subset: str) -> None:
    table = {f"IoU-{name}": NAN for name in reversed(CLASS_SUBSETS[subset])}
    assert scored_classes({"mIoU": 1.0} | table) == subset


def test_other_scored_classes_are_listed() -> None:
    assert scored_classes({"IoU-road": 1.0, "IoU-sky": NAN, "ACC-sky": 1.0}) == "road, sky"


def test_subset_means_have_titles_of_their_own() -> None:
    metrics = ["mIoU", "mIoU_13_detectron2", "mIoU_16", "mIoU_detectron2"]
    assert subset_headlines(metrics) == {
        "mIoU_16": "16 classes (authors)",
        "mIoU_13_detectron2": "13 classes (detectron2)",
    }


def test_headline_figures_are_the_finite_means_and_survive_an_empty_domain(scores: dict) -> None:
    results = scores | {"rain": {"sem_seg": {"mIoU": NAN, "pixel_accuracy": 1.0}}, "other": {}}
    assert headline_figures(results) == {
        "fog": {"mIoU": 200 / 3, "pixel_accuracy": 90.0},
        "gta": {"mIoU": 71.005, "mIoU_detectron2": 75.0, "pixel_accuracy": 95.0},
        "night": {"mIoU": 20.0, "pixel_accuracy": 50.0},
        "mean": {"mIoU": 130 / 3, "pixel_accuracy": 70.0},
        "rain": {"pixel_accuracy": 1.0},
        "other": {},
    }
