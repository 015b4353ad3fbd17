"""Benchmark files, read back."""

import csv
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator
from omegaconf import OmegaConf

from langdg_d2.evaluation import (
    BenchmarkRun,
    ImageScore,
    StreamingSemSegEvaluator,
    read_images,
    run_benchmark,
    write_benchmark,
)
from langdg_d2.evaluation.benchmark import benchmark_csv
from langdg_d2.evaluation.markdown import benchmark_markdown
from langdg_d2.evaluation.record import benchmark_record
from langdg_d2.utils.errors import LangDGError

DASH = "\u2013"
RUN = BenchmarkRun(
    protocol="full",
    source="gta",
    config_file="configs/langdg_gta5.py",
    config={"train": {"seed": 7}},
    weights="output/model_final.pth",
    seed=7,
)


def rows(markdown: str, first_cell: str) -> list[list[str]]:
    """Cells of the table whose header starts with `first_cell`, without the rule below it."""
    blocks = [block.splitlines() for block in markdown.strip().split("\n\n")]
    lines = next(lines for lines in blocks if lines[0].startswith(f"| {first_cell} "))
    header, _, *body = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [header, *body]


def test_several_sources_are_one_name_and_all_marked(scores: dict) -> None:
    run = replace(RUN, source=["gta", "fog"], styles={"source": "gta + fog", "grid": (3, 3)})
    assert run.source == "gta + fog"
    table = rows(benchmark_markdown(scores, run), "domain")
    assert [row[0] for row in table[1:3]] == ["fog (source)", "gta (source)"]
    record = benchmark_record(scores, run)
    assert record["source"] == "gta + fog"
    assert record["styles"] == {"source": "gta + fog", "grid": [3, 3]}
    assert benchmark_record(scores, RUN)["styles"] is None


def test_overview_has_the_source_first_and_the_mean_last(scores: dict) -> None:
    table = rows(benchmark_markdown(scores, RUN), "domain")
    figures = ["mIoU (authors)", "mIoU (detectron2)", "pixel accuracy", "images"]
    assert table == [
        ["domain", "protocol", "classes", *figures],
        ["gta (source)", "full", "road, train", f"{71.005:.2f}", "75.00", "95.00", "12"],
        ["fog", "full", "road", "66.67", DASH, "90.00", DASH],
        ["night", "full", "train", "20.00", DASH, "50.00", DASH],
        ["mean of unseen targets", "full", "road", "43.33", DASH, "70.00", DASH],
    ]


def test_class_table_has_a_column_per_domain_and_dashes_for_missing_classes(scores: dict) -> None:
    assert rows(benchmark_markdown(scores, RUN), "class") == [
        ["class", "protocol", "gta (source)", "fog", "night", "mean of unseen targets"],
        ["road", "full", "90.00", "80.00", DASH, "80.00"],
        ["train", "full", DASH, DASH, "10.00", DASH],
    ]


def test_remarks_are_in_every_table_and_means_name_their_domains(scores: dict) -> None:
    run = replace(RUN, sets={"fog": "3 of 100 images"}, groups={"dark": ["night"], "all": ["fog"]})
    results = scores | {"mean of dark": scores["night"], "mean of all": scores["fog"]}
    text = benchmark_markdown(results, run)
    assert [row[0] for row in rows(text, "domain")[2:]] == [
        "fog (3 of 100 images)",
        "night",
        "mean of dark",
        "mean of all (with fog)",
        "mean of unseen targets (with fog)",
    ]
    assert rows(text, "class")[0][3] == "fog (see its remark above)"
    lines = csv.DictReader(benchmark_csv(results, run).splitlines())
    remarks = {line["domain"]: line["data_set"] for line in lines}
    assert remarks["mean of unseen targets"] == "with fog"
    assert not remarks["night"]


def test_every_table_row_names_the_protocol() -> None:
    scores = {"sem_seg": {"mIoU": 1.0, "mIoU_16": 2.0, "IoU-road": 3.0}}
    run = BenchmarkRun(protocol="famix", published="famix_rn50_gta5")
    text = benchmark_markdown({"cityscapes": scores, "acdc_fog": scores}, run)
    lines = [line for line in text.splitlines() if line.startswith("| ") and ":-" not in line]
    headers = [line for line in lines if "protocol" in line]
    assert len(headers) == 4
    body = [line for line in lines if line not in headers]
    assert len(body) == 2 + 2 + 3 + 1
    assert all("famix" in [cell.strip() for cell in line.split("|")] for line in body)


def test_both_conventions_and_the_run_are_named(scores: dict) -> None:
    text = benchmark_markdown(scores, RUN)
    named = ("`full`", "`configs/langdg_gta5.py`", "seed `7`", "`whole image`", "model_final.pth")
    for part in (*named, "nan-mean", "SemSegEvaluator"):
        assert part in text
    assert "seed" not in benchmark_markdown(scores, BenchmarkRun(protocol="full"))


def test_without_counts_there_is_no_column_of_images(scores: dict) -> None:
    text = benchmark_markdown({"fog": scores["fog"]}, BenchmarkRun(protocol="full"))
    assert "images" not in rows(text, "domain")[0]


def test_class_subsets_have_a_table_where_there_are_any(scores: dict) -> None:
    table = {"mIoU": 10.0, "mIoU_16": 20.0, "mIoU_16_detectron2": 30.0, "mIoU_13": 40.0}
    text = benchmark_markdown({"fog": {"sem_seg": table}}, BenchmarkRun(protocol="full"))
    titles = ["16 classes (authors)", "16 classes (detectron2)", "13 classes (authors)"]
    assert rows(text.split("## Class subsets")[1], "domain") == [
        ["domain", "protocol", *titles],
        ["fog", "full", "20.00", "30.00", "40.00"],
    ]
    assert "Class subsets" not in benchmark_markdown(scores, RUN)


def test_sections_follow_the_tables_under_their_headings(scores: dict) -> None:
    run = BenchmarkRun(protocol="full", sections={"Styles": "12 of 20"})
    text = benchmark_markdown(scores, run)
    assert text.endswith("\n\n## Styles\n\n12 of 20\n")
    assert benchmark_record(scores, run)["sections"] == {"Styles": "12 of 20"}


def test_foreign_names_are_no_markup(scores: dict) -> None:
    names = {"protocol": "`<b>`|", "source": "`<i>`", "config_file": "`<u>`"}
    run = BenchmarkRun(**names, published="famix_rn50_gta5", sections={"<s>": "text"})
    tables = {"`<i>`": scores["gta"], "<p>|": scores["fog"], "cityscapes": scores["night"]}
    text = benchmark_markdown(tables, run)
    assert set(re.findall(r"\\<(.)", text)) == set("biups")
    assert not re.findall(r"(?<!\\)<.", text)
    assert rows(text.replace(r"\|", "/"), "domain")[2][:2] == [r"\<p\>/", r"\`\<b\>\`/"]


def test_json_reads_back_unrounded(scores: dict, tmp_path: Path) -> None:
    write_benchmark(scores, RUN, tmp_path / "new" / "folder")
    record = json.loads((tmp_path / "new" / "folder" / "benchmark.json").read_text())
    assert list(record["results"]) == ["gta", "fog", "night", "mean"]
    assert record["results"]["fog"] == scores["fog"]
    assert record["results"]["gta"]["sem_seg"]["IoU-train"] is None
    assert set(record["versions"]) == {"langdg_d2", "detectron2", "torch"}
    assert set(record["conventions"]) == {"mIoU", "mIoU_detectron2"}
    expected = {
        "protocol": "full",
        "inference": "whole image",
        "source": "gta",
        "config_file": "configs/langdg_gta5.py",
        "config": {"train": {"seed": 7}},
        "weights": "output/model_final.pth",
        "seed": 7,
        "scored_classes": {
            "gta": "road, train",
            "fog": "road",
            "night": "train",
            "mean": "road",
        },
    }
    assert {key: record[key] for key in expected} == expected
    assert "git" in record


def test_configs_of_omegaconf_are_recorded_as_plain_data(scores: dict) -> None:
    cfg = OmegaConf.create({"groups": {"acdc": ["fog", "night"]}, "seed": 3, "same": "${seed}"})
    run = BenchmarkRun(protocol="full", config=cfg, groups=cfg.groups)
    record = benchmark_record(scores, run)
    assert record["config"] == {"groups": {"acdc": ["fog", "night"]}, "seed": 3, "same": 3}
    assert record["groups"] == {"acdc": ["fog", "night"]}
    assert json.loads(json.dumps(record)) == record


def test_csv_has_a_line_per_domain_with_all_digits(scores: dict) -> None:
    lines = list(csv.DictReader(benchmark_csv(scores, RUN).splitlines()))
    assert [line["domain"] for line in lines] == ["gta", "fog", "night", "mean of unseen targets"]
    assert {(line["source"], line["protocol"], line["inference"]) for line in lines} == {
        ("gta", "full", "whole image")
    }
    assert lines[0]["scored_classes"] == "road, train"
    assert float(lines[1]["mIoU"]) == 200 / 3
    assert lines[0]["IoU-train"] == lines[1]["mIoU_detectron2"] == ""
    assert "ACC-road" not in lines[0]


def test_files_hold_what_the_functions_return(scores: dict, tmp_path: Path) -> None:
    write_benchmark(scores, RUN, tmp_path)
    assert (tmp_path / "benchmark.md").read_text() == benchmark_markdown(scores, RUN)
    assert (tmp_path / "benchmark.csv").read_text() == benchmark_csv(scores, RUN)
    assert json.loads((tmp_path / "benchmark.json").read_text()) == benchmark_record(scores, RUN)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["benchmark.csv", "benchmark.json", "benchmark.md"]


def test_a_source_that_was_not_evaluated_is_named_but_has_no_row(scores: dict) -> None:
    text = benchmark_markdown({"fog": scores["fog"]}, RUN)
    assert "source `gta`" in text
    assert [row[0] for row in rows(text, "domain")] == ["domain", "fog"]


def test_nothing_replaces_files_without_scores(scores: dict, tmp_path: Path) -> None:
    write_benchmark(scores, RUN, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(LangDGError, match="only the main process"):
        write_benchmark({"gta": {}, "mean": {}}, RUN, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_unknown_published_figures_are_told_before_anything_runs() -> None:
    with pytest.raises(LangDGError, match="no published figures 'famous'.*famix_rn50_gta5"):
        BenchmarkRun(protocol="full", published="famous")


@pytest.mark.parametrize("source", ["gta", "synthia"])
def test_a_benchmark_takes_source_and_groups_from_its_run(tmp_path: Path, source: str) -> None:
    right, wrong = torch.zeros(1, 4).long(), torch.tensor([[0, 1, 1, 1]])
    targets = {"gta": right, "fog": right, "night": wrong}
    loaders = {name: [[{"file_name": "a", "sem_seg": t}]] for name, t in targets.items()}
    evaluators = {
        name: StreamingSemSegEvaluator(
            dataset_name=name, class_names=["road", "sky"], ignore_label=255
        )
        for name in loaders
    }
    run = BenchmarkRun(protocol="full", source=source, groups={"acdc": ["fog", "night"]})
    figures = run_benchmark(
        lambda batch: [{"sem_seg": right}], loaders, evaluators, run, tmp_path / "out"
    )
    accuracy = {name: table["pixel_accuracy"] for name, table in figures.items()}
    expected = {"gta": 100, "fog": 100, "night": 25, "mean of acdc": 62.5}
    expected["mean"] = 62.5 if source == "gta" else 75
    assert accuracy == pytest.approx(expected)
    record = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert list(record["results"]) == list(expected)
    assert record["source"] == source


def test_a_set_that_is_not_whole_is_named_in_its_row_and_in_the_records(
    scores: dict, tmp_path: Path
) -> None:
    text = "3 of 100 images, 128x256 instead of 1080x1920"
    write_benchmark(scores, replace(RUN, sets={"fog": text, "gta": "9 images"}), tmp_path)
    table = rows((tmp_path / "benchmark.md").read_text(), "domain")
    assert [row[0] for row in table[1:3]] == ["gta (source; 9 images)", f"fog ({text})"]
    assert json.loads((tmp_path / "benchmark.json").read_text())["sets"]["fog"] == text
    with (tmp_path / "benchmark.csv").open() as file:
        found = {row["domain"]: row["data_set"] for row in csv.DictReader(file)}
    assert found["fog"] == text
    assert found["night"] == ""


def test_many_own_classes_are_counted_not_listed() -> None:
    names = [f"class {k}" for k in range(25)]
    table = {"mIoU": 50.0} | {f"IoU-{name}": 50.0 for name in names}
    text = benchmark_markdown({"fog": {"sem_seg": table}}, BenchmarkRun(protocol="full"))
    assert rows(text, "domain")[1][2] == "25 classes"
    assert [row[0] for row in rows(text, "class")[1:]] == names


def test_file_names_that_are_not_utf8_are_written_with_escapes(
    scores: dict, tmp_path: Path
) -> None:
    name = os.fsdecode(b"stra\xdfe")
    details = {"fog": {"images": [ImageScore(name, 50.0, 60.0)], "pictures": [{"image": name}]}}
    run = replace(RUN, weights=f"{name}.pth")
    write_benchmark(scores, run, tmp_path, details=details)
    for file in ("benchmark.md", "benchmark.json", "images.csv", "details.json"):
        assert "stra\\udcdfe" in (tmp_path / file).read_text(encoding="utf-8"), file
    assert read_images(tmp_path)["fog"][0].image == "stra\\udcdfe"


def test_domains_without_scores_alone_leave_no_files(tmp_path: Path) -> None:
    class Silent(DatasetEvaluator):
        def evaluate(self) -> dict:
            return {}

    figures = run_benchmark(
        lambda inputs: inputs, {"test": [[]]}, {"test": [Silent()]}, RUN, tmp_path
    )
    assert figures == {}
    assert list(tmp_path.iterdir()) == []
