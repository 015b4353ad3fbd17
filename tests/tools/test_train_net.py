"""The main job as users run it: train, resume, evaluate, on one process, on two, under torchrun."""

import csv
import json
import math
import re
import runpy
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from langdg_d2.engine import SegmentationTrainer, exclusive
from langdg_d2.utils.arguments import argument_parser
from langdg_d2.utils.errors import LangDGError

ROOT = Path(__file__).parents[2]
TOOL = str(ROOT / "tools/train_net.py")


def arguments(out: Path, options: Sequence[str]) -> list[str]:
    """The tool's arguments for a short run on small crops; overrides come last."""
    return [
        *("--config-file", str(ROOT / "configs/langdg_gta5.py")),
        *(option for option in options if "=" not in option),
        f"train.output_dir={out}",
        "model.backbone.tower.weights=null",
        "dataloader.train.total_batch_size=2",
        "dataloader.train.num_workers=1",
        "dataloader.crop_size=[32,48]",
        "styles.mining.batches.batch_size=2",
        "styles.mining.num_workers=0",
        "styles.mining.miner.pin.steps=1",
        "evaluation.domains=[cityscapes,acdc_fog]",
        "train.log_period=1",
        *(option for option in options if "=" in option),
    ]


@pytest.fixture(scope="module")
def run_in(load_tool, datasets, tiny_model):
    """Function that runs the tool into a folder, in this process, on one thread."""
    threads = torch.get_num_threads()
    parser, tool = argument_parser(), load_tool("train_net")

    def run_tool(out, *options):
        words = [*arguments(out, ["--num-gpus", "0", *options]), *tiny_model]
        tool.main(parser.parse_args(words))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETECTRON2_DATASETS", str(datasets))
        torch.set_num_threads(1)
        yield run_tool
        torch.set_num_threads(threads)


@pytest.fixture
def run_here(run_in, tmp_path):
    """Function that runs the tool as `run_in` does, into the folder `out` of the test."""
    return partial(run_in, tmp_path / "out")


@pytest.fixture(scope="module")
def trained(run_in, tmp_path_factory, keep_loggers):
    """Override that names the checkpoint of a training."""
    out = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, keep_loggers():
        patch.setattr("langdg_d2.visualization.write_report_of_run", lambda _: None)
        run_in(out, "train.max_iter=1", "evaluation.domains=[acdc_fog]")
    return f"train.init_checkpoint={out / 'model_final.pth'}"


def main(args: Namespace) -> None:
    """The tool's, for processes that are not started by its file."""
    runpy.run_path(TOOL)["main"](args)


def losses(output_dir: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (output_dir / "metrics.json").read_text().splitlines()]
    return {m["iteration"]: m["total_loss"] for m in lines if "total_loss" in m}


def scores(output_dir: Path) -> dict:
    return json.loads((output_dir / "benchmark.json").read_text())["results"]


def test_training_resumes_and_evaluation_repeats_the_scores(run_here, tmp_path):
    out = tmp_path / "out"
    run_here("train.max_iter=3")
    assert sorted(losses(out)) == [0, 1, 2]
    first = scores(out)
    assert list(first) == ["cityscapes", "acdc_fog", "mean"]

    run_here("--resume", "train.max_iter=5")
    assert "Starting training from iteration 3" in (out / "log.txt").read_text()
    assert sorted(losses(out)) == [0, 1, 2, 3, 4]
    trained = scores(out)

    (out / "benchmark.json").unlink()
    run_here("--eval-only")
    assert scores(out) == trained
    run_here("--eval-only", f"train.init_checkpoint={out / 'model_final.pth'}")
    record = json.loads((out / "benchmark.json").read_text())
    assert (scores(out), record["seed"]) == (trained, 1)
    assert record["trained"]["train.max_iter"] == 5  # of the training, not of this command
    assert record["styles"]["number_of_styles"] > 0  # from the checkpoint
    assert list(record["images"]) == ["cityscapes", "acdc_fog"]
    assert all(x.startswith("4 images, ") for x in record["images"].values())

    pictures = sorted(path.name for path in (out / "overlays").iterdir())
    assert len(pictures) == 8
    assert pictures[0] == "acdc_fog_sem_seg_val_best_1.jpg"
    names = [re.sub(r"_(best|worst)_(\d)\.jpg$", r"/\1_\2", name) for name in pictures]
    events = EventAccumulator(str(out), size_guidance={"images": 0}).Reload()
    first = [name for name in names if name.endswith("_1")]
    assert sorted(events.Tags()["images"]) == sorted([*first, "style/patches"])
    assert [shown.step for shown in events.Images("style/patches")] == [3, 5]
    assert (out / "report.html").read_text().count("data:image/jpeg") == 8


def killed(self, *iterations: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("_no_report")
def test_a_used_folder_needs_resume_or_overwrite(run_here, tmp_path, monkeypatch):
    out, short = tmp_path / "out", ["train.max_iter=1", "evaluation.domains=[acdc_fog]"]
    short.append("train.checkpointer.period=1")
    out.mkdir()
    for name in ("log.txt", "config.yaml", "metrics.json"):  # of a run that failed at once
        (out / name).write_text("")
    run_here(*short)
    (out / "predictions/acdc_fog_sem_seg_val").mkdir(parents=True)
    results = ["model_final.pth", "model.safetensors", "benchmark.json", "config.yaml"]
    before = [(out / name).read_bytes() for name in results]
    held = r"last_checkpoint, model_0000000.pth, model_final.pth, 8 more"
    with pytest.raises(LangDGError, match=rf"out' .* \({held}\): .* --resume .*--overwrite "):
        run_here(*short)
    assert [(out / name).read_bytes() for name in results] == before

    monkeypatch.setattr(SegmentationTrainer, "train", killed)
    first = out / "model_0000000.pth"
    with pytest.raises(KeyboardInterrupt):  # which keeps the weights it starts from
        run_here("--overwrite", f"train.init_checkpoint={first}", *short)
    assert list(out.glob("*.pth")) == [first]
    with pytest.raises(KeyboardInterrupt):
        run_here("--overwrite", *short)
    assert not list(out.glob("*.pth"))
    left = [name for name in ("last_checkpoint", "predictions", *results) if (out / name).exists()]
    assert left == ["config.yaml"]
    with pytest.raises(KeyboardInterrupt):
        run_here("--resume", *short)
    assert "training starts from the beginning" in (out / "log.txt").read_text()


def test_a_folder_takes_one_run_at_a_time(run_here, tmp_path):
    (tmp_path / "out").mkdir()
    with exclusive(str(tmp_path / "out")), pytest.raises(LangDGError, match="another run is writ"):
        run_here("train.max_iter=1")
    with exclusive(str(tmp_path / "out")):  # the refused run holds nothing
        pass


OWN_PARTS = """
from detectron2.config import LazyCall as L, LazyConfig
from detectron2.data import transforms as T

base = LazyConfig.load("{config}")
for key in ("train", "model", "optimizer", "lr_scheduler", "styles", "dataloader", "evaluation"):
    globals()[key] = base[key]
dataloader.test.cityscapes.mapper.augmentations = [L(T.Resize)(shape=[24, 32])]
dataloader.test.own = dataloader.test.cityscapes
dataloader.evaluators.own = dataloader.evaluators.cityscapes
del base
"""


@pytest.mark.usefixtures("_no_report")
def test_domains_loaded_by_own_parts_are_named(run_here, trained, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(OWN_PARTS.format(config=ROOT / "configs/langdg_gta5.py"))
    domains = "evaluation.domains=[cityscapes,own,acdc_fog]"
    run_here("--eval-only", "--config-file", str(own), trained, domains)
    record = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert "; loaded by the config's own parts" in record["sets"]["cityscapes"]
    assert "loaded by the config's own parts" in record["sets"]["own"]
    assert "own parts" not in record["sets"]["acdc_fog"]


@pytest.mark.usefixtures("_no_report")
def test_two_processes_train_as_one_with_the_same_total_batch(
    run_here, in_two_processes, tiny_model, tmp_path, datasets
):
    width, height = Image.open(next((datasets / "gta5/images").iterdir())).size
    augmentations = "dataloader.train.mapper.augmentations"
    nothing_random = [
        *("styles.bank=null", "styles.augmentation=null", "model.sem_seg_head.dropout=0"),
        f"dataloader.crop_size=[{height},{width}]",
        *(f"{augmentations}.1.{name}=0" for name in ("brightness", "contrast", "saturation")),
        f"{augmentations}.2.prob=0.0",
        *("dataloader.train.total_batch_size=4", "train.max_iter=8", "train.device=cpu"),
    ]
    out = tmp_path / "out"
    options = [*arguments(out, nothing_random), *tiny_model]
    in_two_processes(main, **vars(argument_parser().parse_args(options)))
    shared, trained = losses(out), scores(out)
    assert trained["cityscapes"]["sem_seg"]["num_images"] == 4
    assert len(list(out.glob("model_final*"))) == len(list(out.glob("events.out*"))) == 1
    # One process scores the same checkpoint alike: no image is lost or counted twice.
    run_here("--eval-only")
    assert scores(out) == trained

    run_here(*nothing_random, f"train.output_dir={tmp_path / 'alone'}")
    alone = losses(tmp_path / "alone")
    assert sorted(alone) == list(range(8))
    assert alone[7] < alone[0] < math.inf
    assert shared == pytest.approx(alone, rel=1e-4)


@pytest.mark.usefixtures("_no_report")
def test_two_processes_score_the_papers_targets_as_one(
    run_here, in_two_processes, trained, tiny_model, tmp_path
):
    out = tmp_path / "out"
    eight = "cityscapes,bdd100k,mapillary,synthia,acdc_night,acdc_snow,acdc_rain,acdc_fog"
    targets = f"evaluation.domains=[{eight}]"
    run_here("--eval-only", targets, trained)
    alone = scores(out)
    assert list(alone) == [*eight.split(","), "mean of acdc", "mean"]
    table = (out / "benchmark.md").read_text()
    assert re.search(r"\| mapillary +\| +full \|", table)
    assert re.search(r"\| +52\.11 \|", table)  # published

    for name in ("benchmark.json", "benchmark.csv", "benchmark.md"):
        (out / name).unlink()
    evaluation = ["--eval-only", targets, trained, "train.device=cpu"]
    options = [*arguments(out, evaluation), *tiny_model]
    in_two_processes(main, **vars(argument_parser().parse_args(options)))
    assert scores(out) == alone
    with (out / "benchmark.csv").open() as file:
        rows = {row["domain"]: row for row in csv.DictReader(file)}
    assert set(rows) == {*alone, "mean of unseen targets"} - {"mean"}
    assert float(rows["synthia"]["mIoU"]) == alone["synthia"]["sem_seg"]["mIoU"]


def test_torchrun_starts_the_processes_as_well(datasets, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    without_styles = ["styles.bank=null", "styles.augmentation=null"]
    changes = ["train.max_iter=1", "train.device=cpu", "evaluation.domains=[acdc_fog]"]
    options = arguments(tmp_path / "out", [*changes, *without_styles])
    command = [sys.executable, *torchrun, TOOL, *options, *tiny_model]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr  # as of loader workers that end with the run
    assert sorted(losses(tmp_path / "out")) == [0]
    assert "World size: 2" in (tmp_path / "out/log.txt").read_text()


def test_evaluation_without_any_checkpoint_says_what_to_pass(run_here):
    with pytest.raises(FileNotFoundError, match="pass train.init_checkpoint=FILE"):
        run_here("--eval-only")


@pytest.mark.usefixtures("_no_report")
def test_the_sources_own_validation_chooses_the_best_weights(run_here, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(LangDGError, match="a single domain as evaluation.source, not None"):
        run_here("train.best_period=1", "evaluation.source=null", "evaluation.published=null")
    assert not out.joinpath("config.yaml").exists()
    run_here("train.max_iter=2", "train.best_period=1", "evaluation.domains=[acdc_fog]")
    kept = torch.load(out / "model_best.pth")
    lines = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    found = [line["source/mIoU"] for line in lines if "source/mIoU" in line]
    assert kept["score"] == max(found)
    assert list(scores(out)) == ["acdc_fog", "mean"]
    # The lists of these copies name the same images.
    record = json.loads((out / "benchmark.json").read_text())
    sets = record["sets"]
    assert "; 4 of 4 images trained on" in sets["gta5"]
    assert "images trained on" not in sets["acdc_fog"]
    # Nor are they the published ones.
    assert all(
        "trained on gta5_sem_seg_train: 4 images, the usual lists" in text for text in sets.values()
    )
    run_here("--eval-only", f"train.init_checkpoint={out / 'model_best.pth'}")
    assert list(scores(out)) == ["cityscapes", "acdc_fog", "mean"]
    styles = json.loads((out / "benchmark.json").read_text())["styles"]
    assert styles == record["styles"] is not None


def test_two_processes_choose_the_best_weights(
    datasets, in_two_processes, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    out = tmp_path / "out"
    chosen = ("train.max_iter=2", "train.best_period=1", "evaluation.domains=[acdc_fog]")
    options = [*arguments(out, [*chosen, "train.device=cpu"]), *tiny_model]
    in_two_processes(main, **vars(argument_parser().parse_args(options)))
    lines = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    found = [line["source/mIoU"] for line in lines if "source/mIoU" in line]
    assert torch.load(out / "model_best.pth")["score"] == max(found)
