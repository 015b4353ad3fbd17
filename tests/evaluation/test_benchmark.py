"""Benchmark files, read back."""

import csv
import json
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator
from omegaconf import OmegaConf

from langdg_d2.evaluation import (
    Benchmark,
    BenchmarkRun,
    ImageScore,
    StreamingSemSegEvaluator,
    read_benchmark,
    read_images,
    score_rows,
    write_benchmark,
)
from langdg_d2.evaluation.benchmark import benchmark_csv, benchmark_markdown, benchmark_record
from langdg_d2.utils.errors import LangDGError

RUN = BenchmarkRun(
    protocol="full",
    source="gta",
    config_file="configs/langdg_gta5.py",
    config={"train": {"seed": 7}},
    weights="output/model_final.pth",
    seed=7,
)
STYLES = {"Styles": {"notes": ["12 of 20"], "table": {"class": ["road"], "styles": [25]}}}


def markdown(scores: dict, run: BenchmarkRun) -> str:
    return benchmark_markdown(score_rows(scores, run), run)


def test_the_report_names_the_run_and_has_tables_under_headings(scores: dict) -> None:
    text = markdown(scores, replace(RUN, sections=STYLES))
    named = ("`full`", "`configs/langdg_gta5.py`", "seed `7`", "`whole image`", "model_final.pth")
    for part in named:
        assert part in text.split("\n\n")[1]
    assert re.findall("^#+ .*$", text, re.MULTILINE) == [
        "# Benchmark",
        "## Scores",
        "## IoU per class",
        "## Styles",
    ]
    assert re.search(r"^\| gta \(source\) +\| +full \| road, train \|", text, re.MULTILINE)
    assert re.search(r"^\| road +\| +25 \|\n\n- 12 of 20\n\Z", text, re.MULTILINE)
    assert "seed" not in markdown(scores, BenchmarkRun(protocol="full"))


def test_a_source_that_was_not_evaluated_is_named_but_has_no_row(scores: dict) -> None:
    text = markdown({"fog": scores["fog"]}, RUN)
    assert "source `gta`" in text
    assert "(source)" not in text


def test_foreign_names_are_no_markup(scores: dict) -> None:
    names = {"protocol": "`<b>`|", "source": "`<i>`", "config_file": "`<u>`"}
    run = BenchmarkRun(**names, published="famix_rn50_gta5", sections={"<s>": STYLES["Styles"]})
    tables = {"`<i>`": scores["gta"], "<p>|": scores["fog"], "cityscapes": scores["night"]}
    text = markdown(tables, run)
    assert set(re.findall(r"\\<(.)", text)) == set("biups")
    assert not re.findall(r"(?<!\\)<.", text)
    assert re.search(r"^\| \\<p\\>\\\| +\| +\\`\\<b\\>\\`\\\| \|", text, re.MULTILINE)


def test_json_reads_back_unrounded(scores: dict, tmp_path: Path) -> None:
    run = replace(RUN, styles={"source": "gta", "grid": (3, 3)}, sections=STYLES)
    write_benchmark(scores, run, tmp_path / "new" / "folder")
    record = read_benchmark(tmp_path / "new" / "folder")
    assert list(record["results"]) == ["gta", "fog", "night", "mean"]
    fog = record["results"]["fog"]["sem_seg"]
    assert {k: v for k, v in fog.items() if v is not None} == scores["fog"]["sem_seg"]
    assert record["results"]["gta"]["sem_seg"]["IoU-train"] is None
    assert set(record["versions"]) == {"langdg_d2", "detectron2", "torch"}
    assert set(record["conventions"]) == {"mIoU", "mIoU_detectron2"}
    expected = {
        "format": 1,
        "protocol": "full",
        "inference": "whole image",
        "source": "gta",
        "config_file": "configs/langdg_gta5.py",
        "config": {"train": {"seed": 7}},
        "weights": "output/model_final.pth",
        "seed": 7,
        "styles": {"source": "gta", "grid": [3, 3]},
        "sections": STYLES,
        "scored_classes": {
            "gta": "road, train",
            "fog": "road",
            "night": "train",
            "mean": "road, train",
        },
    }
    assert {key: record[key] for key in expected} == expected
    assert "git" in record


def test_configs_of_omegaconf_are_recorded_as_plain_data(scores: dict) -> None:
    cfg = OmegaConf.create({"groups": {"acdc": ["fog", "night"]}, "seed": 3, "same": "${seed}"})
    run = BenchmarkRun(protocol="full", config=cfg, groups=cfg.groups)
    record = benchmark_record(score_rows(scores, run), run)
    assert record["config"] == {"groups": {"acdc": ["fog", "night"]}, "seed": 3, "same": 3}
    assert record["groups"] == {"acdc": ["fog", "night"]}
    assert json.loads(json.dumps(record)) == record


def test_csv_has_a_line_per_domain_with_all_digits(scores: dict) -> None:
    run = replace(RUN, sets={"fog": "3 of 100 images"})
    lines = list(csv.DictReader(benchmark_csv(score_rows(scores, run)).splitlines()))
    assert [line["domain"] for line in lines] == ["gta", "fog", "night", "mean of unseen targets"]
    assert {(line["source"], line["protocol"], line["inference"]) for line in lines} == {
        ("gta", "full", "whole image")
    }
    assert [line["data_set"] for line in lines] == ["", "3 of 100 images", "", "with fog"]
    assert lines[0]["scored_classes"] == "road, train"
    assert float(lines[1]["mIoU"]) == 200 / 3
    assert lines[0]["IoU-train"] == lines[1]["mIoU_detectron2"] == ""
    assert "ACC-road" not in lines[0]


def test_nothing_replaces_files_without_scores(scores: dict, tmp_path: Path) -> None:
    rows = write_benchmark(scores, RUN, tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(before) == {"benchmark.csv", "benchmark.json", "benchmark.md"}
    assert before["benchmark.csv"] == benchmark_csv(rows)
    assert before["benchmark.md"] == benchmark_markdown(rows, RUN)
    with pytest.raises(LangDGError, match="only the main process"):
        write_benchmark({"gta": {}}, RUN, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_unknown_published_figures_are_refused_before_anything_runs() -> None:
    with pytest.raises(LangDGError, match="no published figures 'famous'.*famix_rn50_gta5"):
        BenchmarkRun(protocol="full", published="famous")


@pytest.mark.parametrize("source", ["gta", "synthia"])
def test_a_benchmark_takes_source_and_groups_from_its_run(tmp_path: Path, source: str) -> None:
    right, wrong = torch.zeros(1, 4).long(), torch.tensor([[0, 1, 1, 1]])
    targets = {"gta": right, "fog": right, "night": wrong}
    images = {name: [{"file_name": "a", "sem_seg": t}] for name, t in targets.items()}
    score = partial(StreamingSemSegEvaluator, class_names=["road", "sky"], ignore_label=255)
    benchmark = Benchmark(
        run=BenchmarkRun(protocol="full", source=source, groups={"acdc": ["fog", "night"]}),
        domains=[*targets],
        loaders={name: lambda name=name: [images[name]] for name in (*targets, "synthia")},
        evaluators={name: lambda name=name: [score(dataset_name=name)] for name in targets},
    )
    figures = benchmark.run(lambda batch: [{"sem_seg": right}], tmp_path / "out")
    accuracy = {name: table["pixel_accuracy"] for name, table in figures.items()}
    expected = {"gta": 100, "fog": 100, "night": 25, "mean of acdc": 62.5}
    expected["mean"] = 62.5 if source == "gta" else 75
    assert accuracy == pytest.approx(expected)
    record = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert list(record["results"]) == list(expected)
    assert record["source"] == source


def test_file_names_that_are_not_utf8_are_written_with_escapes(
    scores: dict, tmp_path: Path
) -> None:
    name = os.fsdecode(b"stra\xdfe")
    details = {"fog": {"images": [ImageScore(name, 50.0, 60.0)], "pictures": [{"image": name}]}}
    run = replace(RUN, weights=f"{name}.pth")
    write_benchmark(scores, run, tmp_path, details=details)
    for file in ("benchmark.md", "benchmark.json", "images.csv", "details.json"):
        assert "stra\\udcdfe" in (tmp_path / file).read_text(encoding="utf-8"), file
    assert read_images(tmp_path)["image"].tolist() == ["stra\\udcdfe"]


def test_domains_without_scores_alone_leave_no_files(tmp_path: Path) -> None:
    class Silent(DatasetEvaluator):
        def evaluate(self) -> dict:
            return {}

    benchmark = Benchmark(
        run=BenchmarkRun(protocol="full"),
        domains=["test"],
        loaders={"test": lambda: [[]]},
        evaluators={"test": lambda: [Silent()]},
    )
    assert benchmark.run(lambda batch: batch, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
