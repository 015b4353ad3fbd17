"""Benchmark files, read back."""

import json
import math
from pathlib import Path

import pytest

from langdg_d2.evaluation import BenchmarkRun, headline_figures, write_benchmark
from langdg_d2.evaluation.results import (
    benchmark_markdown,
    benchmark_record,
    mean_over_targets,
)

NAN = math.nan
DASH = "\u2013"
RESULTS = {
    "fog": {"sem_seg": {"mIoU": 200 / 3, "pixel_accuracy": 90.0, "IoU-road": 80.0}},
    "gta": {
        "sem_seg": {
            "mIoU": 71.005,
            "mIoU_detectron2": 75.0,
            "pixel_accuracy": 95.0,
            "num_images": 12.0,
            "IoU-road": 90.0,
            "IoU-train": NAN,
        }
    },
    "night": {"sem_seg": {"mIoU": 20.0, "pixel_accuracy": 50.0, "IoU-train": 10.0}},
    "mean": {"sem_seg": {"mIoU": 130 / 3, "pixel_accuracy": 70.0, "IoU-road": 80.0}},
}
RUN = BenchmarkRun(protocol="full", source="gta", config="configs/langdg_gta5.py", seed=7)


def rows(markdown: str, first_cell: str) -> list[list[str]]:
    """Cells of the table whose header starts with `first_cell`, without the rule below it."""
    blocks = [block.splitlines() for block in markdown.split("\n\n")]
    lines = next(lines for lines in blocks if lines[0].startswith(f"| {first_cell} "))
    header, _, *body = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [header, *body]


def test_overview_has_the_source_first_and_the_mean_last() -> None:
    assert rows(benchmark_markdown(RESULTS, RUN), "domain") == [
        ["domain", "mIoU (authors)", "mIoU (detectron2)", "pixel accuracy", "images"],
        ["gta (source)", f"{71.005:.2f}", "75.00", "95.00", "12"],
        ["fog", "66.67", DASH, "90.00", DASH],
        ["night", "20.00", DASH, "50.00", DASH],
        ["mean of unseen targets", "43.33", DASH, "70.00", DASH],
    ]


def test_class_table_has_a_column_per_domain_and_dashes_for_missing_classes() -> None:
    assert rows(benchmark_markdown(RESULTS, RUN), "class") == [
        ["class", "gta (source)", "fog", "night", "mean of unseen targets"],
        ["road", "90.00", "80.00", DASH, "80.00"],
        ["train", DASH, DASH, "10.00", DASH],
    ]


def test_both_conventions_and_the_run_are_named() -> None:
    text = benchmark_markdown(RESULTS, RUN)
    for part in ("`full`", "`configs/langdg_gta5.py`", "seed `7`", "nan-mean", "SemSegEvaluator"):
        assert part in text
    assert "seed" not in benchmark_markdown(RESULTS, BenchmarkRun(protocol="full"))


def test_without_counts_there_is_no_column_of_images() -> None:
    text = benchmark_markdown({"fog": RESULTS["fog"]}, BenchmarkRun(protocol="full"))
    header = rows(text, "domain")[0]
    assert header == ["domain", "mIoU (authors)", "mIoU (detectron2)", "pixel accuracy"]


def test_json_reads_back_unrounded(tmp_path: Path) -> None:
    write_benchmark(RESULTS, RUN, tmp_path / "new" / "folder")
    record = json.loads((tmp_path / "new" / "folder" / "benchmark.json").read_text())
    assert list(record["results"]) == ["gta", "fog", "night", "mean"]
    assert record["results"]["fog"] == RESULTS["fog"]
    assert record["results"]["gta"]["sem_seg"]["IoU-train"] is None
    assert set(record["versions"]) == {"langdg_d2", "detectron2", "torch"}
    assert set(record["conventions"]) == {"mIoU", "mIoU_detectron2"}
    expected = {"protocol": "full", "source": "gta", "config": "configs/langdg_gta5.py", "seed": 7}
    assert {key: record[key] for key in expected} == expected


def test_files_hold_what_the_functions_return(tmp_path: Path) -> None:
    write_benchmark(RESULTS, RUN, tmp_path)
    assert (tmp_path / "benchmark.md").read_text() == benchmark_markdown(RESULTS, RUN)
    assert json.loads((tmp_path / "benchmark.json").read_text()) == benchmark_record(RESULTS, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmark.json", "benchmark.md"]


def test_mean_of_targets_leaves_out_source_and_skips_classes_a_target_lacks() -> None:
    mean = mean_over_targets(RESULTS, source="gta")["sem_seg"]
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


def test_empty_results_of_other_processes_do_not_replace_files(tmp_path: Path) -> None:
    write_benchmark(RESULTS, RUN, tmp_path)
    before = (tmp_path / "benchmark.md").read_text()
    with pytest.raises(ValueError, match="only the main process"):
        write_benchmark({"gta": {}, "mean": {}}, RUN, tmp_path)
    with pytest.raises(ValueError, match="source 'gta' is not among the results"):
        write_benchmark({"fog": RESULTS["fog"]}, RUN, tmp_path)
    assert (tmp_path / "benchmark.md").read_text() == before


def test_headline_figures_are_the_finite_means_and_survive_an_empty_domain() -> None:
    results = RESULTS | {"rain": {"sem_seg": {"mIoU": NAN, "pixel_accuracy": 1.0}}, "other": {}}
    assert headline_figures(results) == {
        "fog": {"mIoU": 200 / 3, "pixel_accuracy": 90.0},
        "gta": {"mIoU": 71.005, "mIoU_detectron2": 75.0, "pixel_accuracy": 95.0},
        "night": {"mIoU": 20.0, "pixel_accuracy": 50.0},
        "mean": {"mIoU": 130 / 3, "pixel_accuracy": 70.0},
        "rain": {"pixel_accuracy": 1.0},
        "other": {},
    }


def test_sections_follow_the_tables_under_their_headings() -> None:
    run = BenchmarkRun(protocol="full", sections={"Styles": "12 of 20"})
    text = benchmark_markdown(RESULTS, run)
    assert text.endswith("\n\n## Styles\n\n12 of 20\n")
    assert benchmark_record(RESULTS, run)["sections"] == {"Styles": "12 of 20"}
