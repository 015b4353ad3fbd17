"""A run that is stopped and resumed ends with the weights of one that was not, bit by bit."""

import json
import os
import re
import signal
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog
from safetensors.torch import load_file

from langdg_d2.engine import SegmentationTrainer
from langdg_d2.evaluation import config_difference
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.provenance import plain_data

# Styles that need no mining.
CONFIG = Path(__file__).parents[2] / "projects/famix/configs/ablations/noise_styles.py"
ITERATIONS = 5
SETTINGS = [
    "model.backbone.tower.weights=null",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=0",
    "dataloader.crop_size=[32,48]",
    "evaluation.domains=[acdc_fog]",
    "evaluation.protocol=full",
    "train.accumulate=2",
    "train.log_period=1",
    "train.checkpointer.period=2",
    f"train.max_iter={ITERATIONS}",
]


class PowerCutError(Exception):
    pass


@pytest.fixture
def evaluated() -> list:
    """What each evaluation records."""
    return []


@pytest.fixture
def train(evaluated, datasets, tiny_model, load_tool, tmp_path, monkeypatch):
    """Function that trains into a folder, with something to do before an iteration."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    tool = load_tool("train_net")

    def record(benchmark, model, folder, *, config, **facts):
        evaluated.append({"config": plain_data(config), **facts})
        return {}

    monkeypatch.setattr(tool.evaluation.Benchmark, "run", record)
    monkeypatch.setattr(tool.visualization, "write_report_of_run", lambda _: None)
    run_step = SegmentationTrainer.run_step

    def train_to(folder, *overrides, at=None, event=None, resume=False) -> dict:
        def step(trainer):
            if trainer.iter == at:
                event()
            run_step(trainer)

        monkeypatch.setattr(SegmentationTrainer, "run_step", step)
        opts = [*SETTINGS, *tiny_model, f"train.output_dir={tmp_path / folder}", *overrides]
        arguments = {"config_file": str(CONFIG), "opts": opts, "num_gpus": 0}
        tool.main(Namespace(**arguments, resume=resume, eval_only=False))
        return state(tmp_path / folder / "model_final.pth")

    return train_to


def state(file: Path) -> dict[str, torch.Tensor]:
    """Weights, statistics and momenta."""
    checkpoint = torch.load(file, weights_only=True)
    momenta = checkpoint["trainer"]["optimizer"]["state"]
    named = {f"momentum of {key}": kept["momentum_buffer"] for key, kept in momenta.items()}
    return checkpoint["model"] | named


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    different = [key for key in expected if not torch.equal(found[key], expected[key])]
    assert not different


def cut_power() -> None:
    raise PowerCutError


def test_a_resumed_run_ends_bit_by_bit_as_an_unbroken_one_whatever_stopped_it(
    train, tmp_path, evaluated
):
    unbroken = train("unbroken")
    with pytest.raises(PowerCutError):
        train("cut", at=3, event=cut_power)
    assert not (tmp_path / "cut/model_final.pth").exists()
    # From iteration 2 on, whatever the number of workers.
    resumed = train("cut", "dataloader.train.num_workers=2", resume=True)
    assert_same(resumed, unbroken)

    with pytest.raises(SystemExit) as stopped:
        train("told", at=2, event=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert (tmp_path / "told/last_checkpoint").read_text() == "model_0000002.pth"
    assert "repeat the command with --resume" in (tmp_path / "told/log.txt").read_text()
    assert_same(train("told", resume=True), unbroken)
    expected, found = evaluated[0], evaluated[-1]
    assert config_difference(found.pop("config"), expected.pop("config")) is None
    assert found == expected


HOOKS = (
    "train.hooks=[{_target_: langdg_d2.engine.WeightAverage, decay: 0.5},"
    "{_target_: langdg_d2.engine.GradientClipping, max_norm: 0.01},"
    "{_target_: langdg_d2.engine.CosineWeightDecay, final: 0.0}]"
)


def trained_weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "model_final.pth", weights_only=True)
    return checkpoint["trainer"]["hooks"]["WeightAverage"]["trained"]


def test_averages_clipping_and_weight_decay_resume_exactly(train, tmp_path):
    unbroken = train("unbroken", HOOKS)
    with pytest.raises(PowerCutError):
        train("cut", HOOKS, at=3, event=cut_power)
    assert_same(train("cut", HOOKS, resume=True), unbroken)
    trained = trained_weights(tmp_path / "unbroken")
    assert_same(trained_weights(tmp_path / "cut"), trained)
    assert any(not torch.equal(value, unbroken[name]) for name, value in trained.items())
    written = load_file(tmp_path / "unbroken/model.safetensors")
    assert_same(written, {name: unbroken[name] for name in written})


def test_a_drawn_seed_is_remembered_and_a_damaged_checkpoint_passed_over(
    train, tmp_path, evaluated
):
    drawn = train("drawn", "train.seed=-1")
    last = tmp_path / "drawn/model_final.pth"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    assert_same(train("drawn", "train.seed=-1", resume=True), drawn)
    log = (tmp_path / "drawn/log.txt").read_text()
    assert "model_final.pth' cannot be read as a checkpoint: it is damaged, cut off" in log
    assert f"Starting training from iteration {ITERATIONS - 1}" in log
    seed = torch.load(last, weights_only=True)["trainer"]["hooks"]["SeededIterations"]["seed"]
    assert [found["seed"] for found in evaluated] == [seed, seed]


def test_a_seed_of_the_data_alone_is_used(train):
    first = train("first", "dataloader.train.seed=5")
    assert_same(train("same", "dataloader.train.seed=5"), first)
    other = train("other")
    assert any(not torch.equal(other[key], first[key]) for key in first)


def rates(folder: Path) -> dict[int, float]:
    """Learning rates of the head by iteration, as recorded."""
    lines = map(json.loads, (folder / "metrics.json").read_text().splitlines())
    return {line["iteration"]: line["lr"] for line in lines if "lr" in line}


def test_a_resumed_run_learns_as_its_config_says_and_records_that(train, tmp_path):
    with pytest.raises(PowerCutError):
        train("cut", at=2, event=cut_power)
    train("cut", "optimizer.lr=0.01", "train.max_iter=8", "optimizer.momentum=0.5", resume=True)
    found = rates(tmp_path / "cut")
    for iteration in range(2, 8):
        assert found[iteration] == pytest.approx(0.01 * (1 - iteration / 8) ** 0.9)
    log = (tmp_path / "cut/log.txt").read_text()
    (said,) = re.findall("Changed since the earlier run: (.*)", log)
    for change in ("optimizer.lr 0.1 -> 0.01", "optimizer.momentum 0.9 -> 0.5", "max_iter 5 -> 8"):
        assert change in said
    config = (tmp_path / "cut/config.yaml").read_text()
    assert re.search(r"\blr: 0\.01\b", config)
    groups = torch.load(tmp_path / "cut/model_final.pth")["trainer"]["optimizer"]["param_groups"]
    assert [group["momentum"] for group in groups] == [0.5, 0.5]


def test_a_smaller_rate_saves_a_run_that_lost_its_numbers(train, tmp_path):
    with pytest.raises(PowerCutError):
        train("lost", at=2, event=cut_power)
    with pytest.raises(LangDGError, match=r"--resume\) with a smaller optimizer\.lr"):
        train("lost", "optimizer.lr=1e30", resume=True)
    assert (tmp_path / "lost/last_checkpoint").read_text() == "model_0000001.pth"
    found = train("lost", "optimizer.lr=0.01", resume=True)
    assert all(values.isfinite().all() for values in found.values())


def test_a_refused_resumption_leaves_the_record_of_the_earlier_run(train, tmp_path, monkeypatch):
    train("done")
    config = (tmp_path / "done/config.yaml").read_text()
    with pytest.raises(LangDGError, match=r"no effect: .*optimizer\.lr 0\.1 -> 0\.2"):
        train("done", "optimizer.lr=0.2", resume=True)
    with pytest.raises(LangDGError, match="total_batch_size times train.accumulate"):
        train("done", "dataloader.train.total_batch_size=4", "train.max_iter=9", resume=True)
    with monkeypatch.context() as patched:
        name, records = "gta5_sem_seg_train", DatasetCatalog.get("gta5_sem_seg_train")
        patched.setitem(DatasetCatalog.data, name, lambda: records[:-1])
        with pytest.raises(LangDGError, match=r"dataset\.images was '.* images, .*' and is '"):
            train("done", "train.max_iter=9", resume=True)
    assert (tmp_path / "done/config.yaml").read_text() == config


def test_nothing_to_resume_is_a_warning_with_the_folder(train, tmp_path):
    train("mistyped", "train.max_iter=1", resume=True)
    log = (tmp_path / "mistyped/log.txt").read_text()
    assert re.search(
        "WARNING: --resume: there is no checkpoint in '.*mistyped': training starts from the "
        "beginning",
        log,
    )
