"""Scores of single images, and the files beside the benchmark's record."""

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator

from langdg_d2.evaluation import (
    Benchmark,
    BenchmarkRun,
    StreamingSemSegEvaluator,
    read_details,
    read_images,
    write_benchmark,
)

NAMES = ["road", "sky", "car", "train"]
IGNORE = 255
FILES = {"benchmark.csv", "benchmark.json", "benchmark.md", "details.json", "images.csv"}


def make_evaluator(**changes: Any) -> StreamingSemSegEvaluator:
    arguments = {"dataset_name": "fog", "class_names": NAMES, "ignore_label": IGNORE}
    return StreamingSemSegEvaluator(**(arguments | changes))


def make_images(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    generator = torch.Generator().manual_seed(0)
    truths = torch.randint(3, (count, 8, 10), generator=generator)
    truths[:, 0] = IGNORE
    predictions = torch.where(
        torch.rand(truths.shape, generator=generator) < 0.6,
        truths % len(NAMES),
        torch.randint(len(NAMES), truths.shape, generator=generator),
    )
    inputs = [{"file_name": f"x/{k}.png", "sem_seg": truth} for k, truth in enumerate(truths)]
    return inputs, [{"sem_seg": prediction} for prediction in predictions]


def slow_miou(truth: torch.Tensor, prediction: torch.Tensor, classes: list[int]) -> float:
    """Over those of the classes that the ground truth has, pixel by pixel."""
    pairs = zip(truth.flatten().tolist(), prediction.flatten().tolist(), strict=True)
    pairs = [pair for pair in pairs if pair[0] != IGNORE]
    ious = []
    for k in classes:
        if any(pair[0] == k for pair in pairs):
            both = sum(pair == (k, k) for pair in pairs)
            ious.append(both / sum(k in pair for pair in pairs))
    return 100 * sum(ious) / len(ious)


@pytest.mark.parametrize("scored", [None, ["sky", "train"]])
def test_every_image_is_scored_over_the_classes_it_has(scored: list[str] | None) -> None:
    evaluator = make_evaluator(scored_classes=scored)
    inputs, outputs = make_images(5)
    inputs[2]["image_id"] = "a name of its own"
    evaluator.process(inputs, outputs)
    evaluator.evaluate()
    classes = [NAMES.index(name) for name in scored or NAMES]
    expected = {
        image.get("image_id", str(k)): slow_miou(image["sem_seg"], output["sem_seg"], classes)
        for k, (image, output) in enumerate(zip(inputs, outputs, strict=True))
    }
    assert {score.image: score.mean_iou for score in evaluator.images} == pytest.approx(expected)
    assert [score.image for score in evaluator.images] == sorted(expected)


def test_an_image_without_labels_has_no_scores_but_counts() -> None:
    evaluator = make_evaluator()
    inputs, outputs = make_images(2)
    inputs[1]["sem_seg"][:] = IGNORE
    evaluator.process(inputs, outputs)
    assert evaluator.evaluate()["sem_seg"]["num_images"] == 2
    empty = evaluator.images[1]
    assert (empty.image, math.isnan(empty.mean_iou), math.isnan(empty.pixel_accuracy)) == (
        "1",
        True,
        True,
    )


def test_a_benchmark_leaves_counts_and_images_beside_its_record(tmp_path: Path) -> None:
    inputs, outputs = make_images(3)
    inputs[0]["sem_seg"][:] = IGNORE
    results = {image["file_name"]: output for image, output in zip(inputs, outputs, strict=True)}
    evaluator = make_evaluator()
    benchmark = Benchmark(
        run=BenchmarkRun(protocol="full"),
        domains=["fog"],
        loaders={"fog": lambda: [[image] for image in inputs]},
        evaluators={"fog": lambda: [evaluator]},
    )
    benchmark.run(lambda batch: [results[batch[0]["file_name"]]], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    matrix = evaluator.confusion.matrix.tolist()
    assert read_details(tmp_path) == {"fog": {"classes": NAMES, "confusion": matrix}}
    with (tmp_path / "images.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["domain", "image", "mIoU", "pixel_accuracy"]
    assert rows[1] == ["fog", "0", "", ""]
    back = read_images(tmp_path)
    assert [tuple(row) for row in back[1:].to_numpy()] == [
        ("fog", *score) for score in evaluator.images[1:]
    ]
    assert back.iloc[0, 2:].isna().all()
    record = json.loads((tmp_path / "benchmark.json").read_text())
    assert record["date"].endswith("+00:00")
    assert record["environment"]["processes"] == "1"


def test_files_of_an_earlier_benchmark_do_not_outlive_it(tmp_path: Path) -> None:
    results, run = {"fog": {"sem_seg": {"mIoU": 1.0}}}, BenchmarkRun(protocol="full")
    write_benchmark(results, run, tmp_path, details={"fog": {"images": []}})
    assert {path.name for path in tmp_path.iterdir()} == FILES
    write_benchmark(results, run, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"details.json", "images.csv"}
    assert read_details(tmp_path) == {}
    assert read_images(tmp_path).empty


class Counter(DatasetEvaluator):
    """Scores without details."""

    def evaluate(self) -> dict[str, dict[str, float]]:
        return {"count": {"images": 3.0}}


def test_details_are_those_of_all_evaluators_of_a_domain(tmp_path: Path) -> None:
    scoring = make_evaluator()
    benchmark = Benchmark(
        run=BenchmarkRun(protocol="full"),
        domains=["one", "both"],
        loaders=dict.fromkeys(["one", "both"], lambda: [[]]),
        evaluators={"one": lambda: [Counter()], "both": lambda: [Counter(), scoring]},
    )
    benchmark.run(lambda batch: batch, tmp_path)
    matrix = scoring.confusion.matrix.tolist()
    assert read_details(tmp_path) == {"one": {}, "both": {"classes": NAMES, "confusion": matrix}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("details.json", "{"),
        ("details.json", "[1]"),
        ("details.json", '{"fog": 1}'),
        ("details.json", '{"fog": {"classes": ["a"], "confusion": [[1], [2]]}}'),
        ("details.json", '{"fog": {"classes": ["a"], "confusion": [1]}}'),
        ("details.json", '{"fog": {"classes": ["a"], "confusion": [["1"]]}}'),
        ("details.json", '{"fog": {"pictures": [{"file": "a.jpg"}]}}'),
        ("images.csv", "domain,image\nfog,a\n"),
        ("images.csv", "domain,image,mIoU,pixel_accuracy\nfog,a,b,c\n"),
    ],
)
def test_damaged_files_are_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    with caplog.at_level(logging.WARNING):
        assert read_details(tmp_path) == {}
        assert read_images(tmp_path).empty
    assert f"{name}' is damaged" in caplog.text
