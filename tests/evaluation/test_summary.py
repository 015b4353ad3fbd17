"""Several runs as one, from the files they leave."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langdg_d2.evaluation import (
    BenchmarkFileError,
    BenchmarkRun,
    read_benchmark,
    summarize_runs,
    summary_csv,
    summary_markdown,
    write_benchmark,
)
from langdg_d2.structures import CLASS_SUBSETS

MIOUS = {1: {"cityscapes": 48.0, "acdc_fog": 40.0}, 2: {"cityscapes": 49.5, "acdc_fog": 41.0}}
MIOUS[3] = {"cityscapes": 46.1, "acdc_fog": 43.3}


def run_files(
    folder: Path,
    number: int,
    classes: str = "19",
    images: int = 5,
    label_pixels: list[list[int]] | None = None,
    **changes: Any,
) -> str:
    """The output folder of a run, written by the real writer; domains and figures by its number."""
    results = {}
    for domain, miou in MIOUS[number].items():
        per_class = {f"IoU-{name}": miou for name in CLASS_SUBSETS[classes]}
        table = {"mIoU": miou, "mIoU_detectron2": math.nan, "mIoU_13": miou + 1}
        results[domain] = {"sem_seg": table | per_class | {"num_images": float(images)}}
    arguments = {"protocol": "famix", "source": "gta5", "seed": number, "config_file": "a/gta5.py"}
    counted = {"classes": ["a", "b"], "confusion": label_pixels}
    write_benchmark(
        results,
        BenchmarkRun(**(arguments | changes)),
        folder / str(number),
        details={"acdc_fog": counted} if label_pixels else None,
    )
    return str(folder / str(number))


def summarize(*runs: str) -> Any:
    return summarize_runs({run: read_benchmark(run) for run in runs})


def test_means_and_sample_deviations_are_numpys(tmp_path: Path) -> None:
    summary = summarize(*(run_files(tmp_path, seed) for seed in (1, 2, 3)))
    for domain in ("cityscapes", "acdc_fog"):
        values = [MIOUS[seed][domain] for seed in (1, 2, 3)]
        assert summary.rows.at[domain, "mIoU"] == pytest.approx(np.mean(values))
        assert summary.deviations.at[domain, "mIoU"] == pytest.approx(np.std(values, ddof=1))
    # Of the runs' means over targets, not of the targets' deviations.
    of_runs = [np.mean(list(MIOUS[seed].values())) for seed in (1, 2, 3)]
    assert summary.rows.at["mean", "mIoU"] == pytest.approx(np.mean(of_runs))
    assert summary.deviations.at["mean", "mIoU"] == pytest.approx(np.std(of_runs, ddof=1))
    assert math.isnan(summary.rows.at["cityscapes", "mIoU_detectron2"])


def test_the_report_has_means_with_deviations_beside_published_figures(tmp_path: Path) -> None:
    named = {"published": "famix_rn50_gta5"}
    runs = [
        run_files(tmp_path, 1, **named),
        run_files(tmp_path, 2, config_file="/x/gta5.py", **named),
    ]
    text = summary_markdown(summarize(*runs))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    city = ["cityscapes", "famix", "19", "2", "48.75 ± 1.06", "\u2013", "\u2013", "49.75 ± 1.06"]
    assert city in lines
    assert ["mean of unseen targets", "famix", "19", "2", "44.62 ± 0.88"] in [c[:5] for c in lines]
    assert ["cityscapes", "famix", "48.75", "48.15", "+0.60"] in lines
    assert "seeds 1, 2" in text
    assert all(f"`{run}`" in text for run in runs)


def test_a_single_run_has_no_deviation(tmp_path: Path) -> None:
    text = summary_markdown(summarize(run_files(tmp_path, 1)))
    assert " 48.00 |" in text
    assert "±" not in text
    assert "published" not in text
    line = next(csv.DictReader(summary_csv(summarize(str(tmp_path / "1"))).splitlines()))
    assert (line["mIoU"], line["mIoU_std"]) == ("48.0", "")


def test_the_csv_is_unrounded(tmp_path: Path) -> None:
    summary = summarize(run_files(tmp_path, 1), run_files(tmp_path, 2))
    lines = list(csv.DictReader(summary_csv(summary).splitlines()))
    assert [line["domain"] for line in lines] == [
        "cityscapes",
        "acdc_fog",
        "mean of unseen targets",
    ]
    assert {line["runs"] for line in lines} == {"2"}
    assert float(lines[0]["mIoU_std"]) == np.std([48.0, 49.5], ddof=1)
    assert lines[0]["scored_classes"] == "19"
    assert "num_images" not in lines[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "full"}, "protocol.*has famix.*has full"),
        ({"inference": "whole image, scale 0.5"}, "inference.*has whole image,.*scale 0.5"),
        ({"source": "synthia"}, "source.*has gta5.*has synthia"),
        ({"classes": "16"}, "domains and scored classes.*'19'.*'16'"),
        ({"images": 4}, "number of images.*5.0.*4.0"),
        ({"config_file": "b/no_mixing.py"}, "config file.*gta5.py.*no_mixing.py"),
        ({"published": "famix_rn50_gta5"}, "published figures.*None.*famix_rn50_gta5"),
        ({"config": {"optimizer": {"lr": 9}}}, "config, in 'optimizer.lr'.*has 0.1.*has 9"),
        ({"config": "optimizer.lr = 9"}, "differ in their config,.*has optimizer.lr = 9"),
        ({"styles": {"source": "b", "seed": 2}}, "styles, in 'source'.*has a, .*has b"),
        ({"trained": {"optimizer.lr": 9, "train.seed": 2}}, "training, in 'optimizer.lr'.*0.1.*9"),
        ({"label_pixels": [[1, 0], [3, 2]]}, "label_pixels, in 'acdc_fog.1'.*has 4, .*has 5"),
    ],
)
def test_runs_measured_otherwise_are_not_averaged(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    usual = {"config": {"optimizer": {"lr": 0.1}}, "styles": {"source": "a", "seed": 1}}
    usual |= {"trained": {"optimizer.lr": 0.1, "train.seed": 1}, "label_pixels": [[1, 0], [2, 2]]}
    same = {what: value for what, value in usual.items() if what in changes}
    first, other = run_files(tmp_path, 1, **same), run_files(tmp_path, 2, **changes)
    with pytest.raises(BenchmarkFileError, match=message) as error:
        summarize(first, other)
    assert f"'{first}'" in str(error.value)
    assert f"'{other}'" in str(error.value)


def test_runs_over_other_domains_are_not_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_files(tmp_path, 1)
    monkeypatch.setitem(MIOUS, 2, {"cityscapes": 49.5})
    with pytest.raises(BenchmarkFileError, match="runs differ in their domains"):
        summarize(first, run_files(tmp_path, 2))


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    run = run_files(tmp_path, 1)
    with pytest.raises(BenchmarkFileError, match="a run that is given twice"):
        summarize(run, f"{run}/benchmark.json")
    with pytest.raises(BenchmarkFileError, match="no run"):
        summarize_runs({})


def test_another_seed_and_other_places_of_files_are_no_difference(tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        config = {"train": {"seed": seed, "output_dir": f"out{seed}"}, "optimizer": {"lr": 0.1}}
        # The file's name says nothing beside the config itself.
        runs.append(run_files(tmp_path, seed, config=config, config_file=f"{seed}.yaml"))
    assert len(summarize(*runs).records) == 2


def test_runs_of_one_seed_are_refused_and_checkpoints_evaluated_without_one_are_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(BenchmarkFileError, match="1' and '.*2' have the same seed 1"):
        summarize(run_files(tmp_path, 1), run_files(tmp_path, 2, seed=1))
    first = run_files(tmp_path, 1, seed=None, weights="a.pth")
    assert len(summarize(first, run_files(tmp_path, 2, weights="b.pth")).records) == 2
    assert len(summarize(first, run_files(tmp_path, 2, seed=None, weights="b.pth")).records)
    with pytest.raises(BenchmarkFileError, match="1' and '.*2' have the same weights a.pth"):
        summarize(first, run_files(tmp_path, 2, seed=None, weights="a.pth"))


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    path = Path(run_files(tmp_path, 1)) / "benchmark.json"
    record = json.loads(path.read_text())

    def refused(message: str) -> None:
        with pytest.raises(BenchmarkFileError, match=message) as error:
            read_benchmark(path.parent)
        assert str(path) in str(error.value)

    path.write_text(path.read_text()[:200])
    refused("is damaged")
    path.write_bytes(b"\xff\xfe\x00")
    refused("is damaged")
    for key in ("protocol", "seed", "scored_classes", "results", "format"):
        path.write_text(json.dumps({k: v for k, v in record.items() if k != key}))
        refused("not a complete benchmark record of format 1")
    for broken in ([], {"format": 1}, record | {"format": 0}, record | {"results": {}}):
        path.write_text(json.dumps(broken))
        refused("not a complete benchmark record of format 1")
    texts = record["results"] | {"cityscapes": {"sem_seg": {"mIoU": "48.0"}}}
    for results in ({"cityscapes": 3}, texts):
        path.write_text(json.dumps(record | {"results": results}))
        refused("not a complete benchmark record of format 1")
    for wrong in ({"inference": 3}, {"published": "nobody"}):
        path.write_text(json.dumps(record | wrong))
        refused("not a complete benchmark record of format 1")
    path.unlink()
    refused("cannot read.*No such file")


def test_sets_that_are_not_whole_are_named_and_must_be_alike(tmp_path: Path) -> None:
    sets = {"acdc_fog": "3 of 100 images"}
    runs = [run_files(tmp_path, seed, sets=sets, published="famix_rn50_gta5") for seed in (1, 2)]
    summary = summarize(*runs)
    text = summary_markdown(summary)
    assert "| acdc_fog (3 of 100 images) " in text
    assert "not comparable" in text
    assert (
        list(csv.DictReader(summary_csv(summary).splitlines()))[1]["data_set"] == sets["acdc_fog"]
    )
    with pytest.raises(BenchmarkFileError, match="differ in their remarks on data sets"):
        summarize(runs[0], run_files(tmp_path, 3, published="famix_rn50_gta5"))


def test_runs_of_different_code_are_named(tmp_path: Path) -> None:
    runs = {name: read_benchmark(name) for name in (run_files(tmp_path, k) for k in (1, 2))}
    assert "different code" not in summary_markdown(summarize_runs(runs))
    first, _ = runs.values()
    first["versions"] = {"langdg_d2": "0.0.1"}
    assert "different code (versions): {" in summary_markdown(summarize_runs(runs))


def test_runs_of_unknown_training_are_named(tmp_path: Path) -> None:
    known, unknown = run_files(tmp_path, 1, trained={"optimizer.lr": 1}), run_files(tmp_path, 2)
    text = summary_markdown(summarize(known, unknown))
    assert f"The training of these runs is unknown: `{unknown}`." in text
