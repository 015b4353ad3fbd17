"""A run that is stopped and resumed ends with the weights of one that was not, bit by bit."""

import os
import signal
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from langdg_d2.engine import SegmentationTrainer

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
    """Configs at the evaluations."""
    return []


@pytest.fixture
def train(evaluated, datasets, tiny_model, load_tool, tmp_path, monkeypatch):
    """Function that trains into a folder, with something to do before an iteration."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    tool = load_tool("train_net")
    monkeypatch.setattr(tool, "evaluate", lambda cfg, *_, **__: evaluated.append(cfg) or {})
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


def test_a_resumed_run_ends_bit_by_bit_as_an_unbroken_one_whatever_stopped_it(train, tmp_path):
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
    assert "start the same command with --resume" in (tmp_path / "told/log.txt").read_text()
    assert_same(train("told", resume=True), unbroken)


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
    seeds = {(cfg.train.seed, cfg.dataloader.train.seed) for cfg in evaluated}
    seed = torch.load(last, weights_only=True)["trainer"]["hooks"]["SeededIterations"]["seed"]
    assert seeds == {(seed, seed)}


def test_a_seed_of_the_data_alone_is_used(train, evaluated):
    first = train("first", "dataloader.train.seed=5")
    assert_same(train("same", "dataloader.train.seed=5"), first)
    other = train("other")
    assert any(not torch.equal(other[key], first[key]) for key in first)
    assert [cfg.dataloader.train.seed for cfg in evaluated] == [5, 5, 1]
