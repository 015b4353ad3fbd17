"""Results as rows of one table: means, order, remarks, and the tables printed from them."""

import json
import math
from dataclasses import replace

import pytest
from pandas import DataFrame

from langdg_d2.evaluation import BenchmarkRun, record_rows, score_rows
from langdg_d2.evaluation.benchmark import benchmark_record
from langdg_d2.evaluation.tables import (
    FACTS,
    PER_CLASS,
    SCORES,
    SUBSETS,
    Section,
    benchmark_sections,
    class_ious,
    class_table,
    headline_figures,
    markdown_table,
    mean_over,
    metrics,
    overview_table,
    row_titles,
    score_table,
    section_markdown,
    subset_headlines,
)
from langdg_d2.structures import CLASS_SUBSETS
from langdg_d2.utils.errors import LangDGError

NAN, DASH = math.nan, "\u2013"
RUN = BenchmarkRun(protocol="full", source="gta")


def cells(table: DataFrame) -> list[list[str]]:
    """Heading and rows."""
    return [list(table.columns), *table.to_numpy().tolist()]


def of_tables(run: BenchmarkRun = RUN, **tables: dict[str, float]) -> DataFrame:
    return score_rows({domain: {"sem_seg": table} for domain, table in tables.items()}, run)


def test_rows_hold_what_is_known_of_each_domain_and_its_scores(scores: dict) -> None:
    rows = score_rows(scores, replace(RUN, groups={"dark": ["night"]}, sets={"fog": "3 images"}))
    assert list(rows.index) == ["gta", "fog", "night", "mean of dark", "mean"]
    assert list(rows.columns[: len(FACTS)]) == FACTS
    assert list(rows["role"]) == ["source", "target", "target", "mean", "mean"]
    assert list(rows["scored_classes"]) == ["road, train", "road", "train", "train", "road, train"]
    assert list(rows["data_set"]) == ["", "3 images", "", "", "with fog"]
    assert set(zip(rows["source"], rows["protocol"], rows["inference"], strict=True)) == {
        ("gta", "full", "whole image")
    }
    assert rows.at["fog", "mIoU"] == 200 / 3
    assert math.isnan(rows.at["fog", "mIoU_detectron2"])
    assert set(rows[metrics(rows)].dtypes.astype(str)) == {"float64"}


def test_means_leave_out_the_source_and_skip_classes_a_target_lacks(scores: dict) -> None:
    mean = score_rows(scores, RUN).loc["mean"]
    assert mean["mIoU"] == pytest.approx((200 / 3 + 20) / 2)
    assert (mean["pixel_accuracy"], mean["IoU-road"], mean["IoU-train"]) == (70.0, 80.0, 10.0)
    assert mean[["mIoU_detectron2", "num_images"]].isna().all()


def test_a_mean_is_missing_where_a_target_has_no_score() -> None:
    rows = of_tables(fog={"mIoU": 50.0, "IoU-train": NAN}, night={"IoU-road": NAN})
    assert rows.loc["mean", ["mIoU", "IoU-train", "IoU-road"]].isna().all()
    assert mean_over(rows.loc[["fog"], ["mIoU"]])["mIoU"] == 50


def test_means_over_domains_need_hyphenated_scores_of_all() -> None:
    scores = DataFrame({"FPR-95": [10.0, None], "IoU-road": [20.0, None]})
    assert mean_over(scores).isna().tolist() == [True, False]


def test_groups_do_not_count_in_the_mean_and_need_all_of_their_domains(scores: dict) -> None:
    groups = {"all": ["night", "fog"], "missing": ["fog", "rain"], "with source": ["fog", "gta"]}
    rows = score_rows(scores, replace(RUN, groups=groups))
    assert list(rows.index[3:]) == ["mean of all", "mean"]
    assert rows.at["mean of all", "mIoU"] == rows.at["mean", "mIoU"]


def test_no_source_of_several_is_an_unseen_target(scores: dict) -> None:
    rows = score_rows(scores, replace(RUN, source=["gta", "fog"]))
    assert row_titles(rows) == [
        "fog (source)",
        "gta (source)",
        "night",
        "mean of unseen targets",
    ]
    assert set(rows["source"]) == {"gta + fog"}
    assert rows.at["mean", "mIoU"] == 20


def test_without_a_source_all_domains_are_targets_and_a_source_alone_has_no_mean(
    scores: dict,
) -> None:
    rows = score_rows(scores, BenchmarkRun(protocol="full"))
    assert rows.at["mean", "pixel_accuracy"] == pytest.approx((90 + 95 + 50) / 3)
    assert set(rows["source"]) == {""}
    assert list(score_rows({"gta": scores["gta"]}, RUN).index) == ["gta"]


def test_results_without_scores_are_refused() -> None:
    with pytest.raises(LangDGError, match="only the main process"):
        score_rows({"gta": {}, "fog": {}}, RUN)


def test_scores_of_other_tasks_are_named_after_them() -> None:
    rows = score_rows({"fog": {"sem_seg": {"mIoU": 1.0}, "count": {"images": 3.0}}}, RUN)
    assert metrics(rows) == ["mIoU", "count/images"]
    assert rows.at["fog", "count/images"] == 3


def test_a_record_gives_the_rows_it_was_made_of(scores: dict) -> None:
    run = replace(RUN, groups={"dark": ["night"]}, sets={"fog": "3 of 100 images"})
    rows = score_rows(scores, run)
    record = json.loads(json.dumps(benchmark_record(rows, run), allow_nan=False))
    assert record_rows(record).equals(rows)
    assert BenchmarkRun.of_record(record) == run


def test_a_record_of_an_earlier_version_needs_no_newer_keys(scores: dict) -> None:
    rows = score_rows(scores, RUN)
    newer = {"groups", "sets", "styles", "sections", "date"}
    record = {k: v for k, v in benchmark_record(rows, RUN).items() if k not in newer}
    for tasks in record["results"].values():
        tasks["sem_seg"] = {k: v for k, v in tasks["sem_seg"].items() if v is not None}
    assert record_rows(record)[list(rows)].equals(rows)


@pytest.mark.parametrize("subset", ["19", "16", "13"])
def test_scored_classes_are_named_by_their_subset_in_any_order(subset: str) -> None:
    table = {f"IoU-{name}": NAN for name in reversed(CLASS_SUBSETS[subset])}
    assert of_tables(fog={"mIoU": 1.0} | table)["scored_classes"].tolist() == [subset] * 2


def test_overview_has_the_source_first_and_the_mean_last(scores: dict) -> None:
    figures = ["mIoU (authors)", "mIoU (detectron2)", "pixel accuracy", "images"]
    assert cells(overview_table(score_rows(scores, RUN))) == [
        ["domain", "protocol", "classes", *figures],
        ["gta (source)", "full", "road, train", f"{71.005:.2f}", "75.00", "95.00", "12"],
        ["fog", "full", "road", "66.67", DASH, "90.00", DASH],
        ["night", "full", "train", "20.00", DASH, "50.00", DASH],
        ["mean of unseen targets", "full", "road, train", "43.33", DASH, "70.00", DASH],
    ]


def test_without_counts_there_is_no_column_of_images(scores: dict) -> None:
    assert "images" not in overview_table(score_rows({"fog": scores["fog"]}, RUN))


def test_class_table_has_a_column_per_domain_and_dashes_for_missing_classes(scores: dict) -> None:
    rows = score_rows(scores, RUN)
    assert cells(class_table(rows)) == [
        ["class", "protocol", "gta (source)", "fog", "night", "mean of unseen targets"],
        ["road", "full", "90.00", "80.00", DASH, "80.00"],
        ["train", "full", DASH, DASH, "10.00", "10.00"],
    ]
    assert class_ious(rows)["fog"].to_dict() == pytest.approx(
        {"road": 80.0, "train": NAN}, nan_ok=True
    )


def test_many_own_classes_are_counted_not_listed() -> None:
    names = [f"class {k}" for k in range(25)]
    rows = of_tables(fog={"mIoU": 50.0} | {f"IoU-{name}": 50.0 for name in names})
    assert overview_table(rows)["classes"].tolist() == ["25 classes"] * 2
    assert class_table(rows)["class"].tolist() == names


def test_remarks_are_in_every_table_and_means_name_their_domains(scores: dict) -> None:
    groups = {"dark": ["night"], "all": ["fog"]}
    run = replace(RUN, sets={"fog": "3 of 100 images", "gta": "9 images"}, groups=groups)
    rows = score_rows(scores, run)
    assert overview_table(rows)["domain"].tolist() == [
        "gta (source, 9 images)",
        "fog (3 of 100 images)",
        "night",
        "mean of dark",
        "mean of all (with fog)",
        "mean of unseen targets (with fog)",
    ]
    assert class_table(rows).columns[3] == "fog (see its remark above)"
    assert row_titles(rows, "")[:2] == ["gta (source)", "fog"]


def test_class_subsets_have_a_table_where_there_are_any(scores: dict) -> None:
    table = {"mIoU": 10.0, "mIoU_16": 20.0, "mIoU_16_detectron2": 30.0, "mIoU_13": 40.0}
    sections = benchmark_sections(of_tables(fog=table), BenchmarkRun(protocol="full"))
    titles = ["16 classes (authors)", "16 classes (detectron2)", "13 classes (authors)"]
    assert cells(sections[SUBSETS].table)[:2] == [
        ["domain", "protocol", *titles],
        ["fog", "full", "20.00", "30.00", "40.00"],
    ]
    assert list(benchmark_sections(score_rows(scores, RUN), RUN)) == [SCORES, PER_CLASS]


def test_every_table_row_names_the_protocol() -> None:
    table = {"mIoU": 1.0, "mIoU_16": 2.0, "IoU-road": 3.0}
    run = BenchmarkRun(protocol="famix", published="famix_rn50_gta5")
    sections = benchmark_sections(of_tables(run, cityscapes=table, acdc_fog=table), run)
    assert [len(section.table) for section in sections.values()] == [3, 3, 3, 1]
    assert all(set(section.table["protocol"]) == {"famix"} for section in sections.values())


def test_both_conventions_are_explained(scores: dict) -> None:
    notes = " ".join(benchmark_sections(score_rows(scores, RUN), RUN)[SCORES].notes)
    for part in ("mIoU (authors): nan-mean", "mIoU (detectron2): mean", "SemSegEvaluator"):
        assert part in notes


def test_deviations_stand_beside_the_scores_where_there_are_any() -> None:
    rows = of_tables(fog={"mIoU": 50.0}, night={"mIoU": 40.0})
    deviations = rows[["mIoU"]] / 100
    deviations.loc["night"] = NAN
    assert score_table(rows, {"mIoU": "score"}, deviations)["score"].tolist() == [
        "50.00 \u00b1 0.50",
        "40.00",
        "45.00 \u00b1 0.45",
    ]
    assert subset_headlines(rows) == {}


def test_headline_figures_are_the_finite_means(scores: dict) -> None:
    more = {"rain": {"sem_seg": {"mIoU": NAN, "pixel_accuracy": 1.0}}}
    assert headline_figures(score_rows(scores | more, RUN)) == {
        "gta": {"mIoU": 71.005, "mIoU_detectron2": 75.0, "pixel_accuracy": 95.0},
        "fog": {"mIoU": 200 / 3, "pixel_accuracy": 90.0},
        "night": {"mIoU": 20.0, "pixel_accuracy": 50.0},
        "rain": {"pixel_accuracy": 1.0},
        "mean": {"pixel_accuracy": 47.0},
    }


def test_foreign_text_is_no_markup_in_tables_and_notes() -> None:
    table = {"<a>|": ["`b`", "[c](d)"], "e": ["f\ng", "\udcdf"]}
    lines = markdown_table(table).splitlines()
    assert len(lines) == 4
    shown = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]
    assert shown[0] == [r"\<a\>\|", "e"]
    assert shown[2:] == [[r"\`b\`", "f g"], [r"\[c\](d)", r"\\udcdf"]]
    note = section_markdown(Section(DataFrame(), ["<i> *one*\n\n# two"]))
    assert note == r"- \<i\> \*one\* # two"
