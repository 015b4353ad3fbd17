"""The order of the hooks, and what a training run leaves behind."""

import json
import logging
import math
import os
import signal

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from langdg_d2.engine import SegmentationTrainer, polynomial_lr, training_hooks
from langdg_d2.utils.errors import LangDGError


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, batch: list[float]) -> dict[str, torch.Tensor]:
        return {"loss_sem_seg": (self.weight * batch[0]).square().sum()}


def build(output_dir, events, max_iter=6, log_period=1):
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = [[0.5]] * 100
    trainer = SegmentationTrainer(
        model=model, loader=loader, optimizer=optimizer, log_period=log_period, checkpoint_period=2
    )
    checkpointer = DetectionCheckpointer(model, str(output_dir), trainer=trainer)

    def evaluate():
        saved = sorted(path.name for path in output_dir.glob("model_*.pth"))
        events.append((trainer.iter, saved))
        return {"domain": {"mIoU": float(trainer.iter)}}

    hooks = training_hooks(
        scheduler=polynomial_lr(optimizer, max_iter=max_iter, power=0.9, min_lr=1e-6),
        checkpointer=checkpointer,
        checkpointer_options={"period": 2},
        evaluate=evaluate,
        eval_period=4,
        log_period=log_period,
        max_iter=max_iter,
    )
    trainer.register_hooks(hooks)
    return trainer, checkpointer


@pytest.fixture
def output_dir(tmp_path):
    logging.getLogger("detectron2").setLevel(logging.INFO)
    return tmp_path


def test_run_checkpoints_before_it_evaluates_and_records_every_iteration(output_dir):
    events: list = []
    trainer, _ = build(output_dir, events)
    trainer.train(0, 6)
    assert events == [
        (3, ["model_0000001.pth", "model_0000003.pth"]),
        (6, ["model_0000001.pth", "model_0000003.pth", "model_0000005.pth", "model_final.pth"]),
    ]
    lines = [json.loads(line) for line in (output_dir / "metrics.json").read_text().splitlines()]
    losses = {m["iteration"]: m["total_loss"] for m in lines if "total_loss" in m}
    assert sorted(losses) == list(range(6))
    assert losses[0] == 0.25
    scores = {m["iteration"]: m["domain/mIoU"] for m in lines if "domain/mIoU" in m}
    assert set(scores.values()) == {3.0, 6.0}
    assert list(output_dir.glob("events.out.tfevents*"))


def test_resumed_run_goes_on_with_the_weights_and_learning_rate_of_an_unbroken_one(tmp_path):
    unbroken, _ = build(tmp_path / "unbroken", [])
    unbroken.train(0, 6)
    first, _ = build(tmp_path / "broken", [])
    first.train(0, 4)
    second, checkpointer = build(tmp_path / "broken", [])
    checkpointer.resume_or_load("", resume=True)
    assert second.iter + 1 == 4
    second.train(second.iter + 1, 6)
    assert torch.equal(second.model.weight, unbroken.model.weight)
    assert second.optimizer.param_groups[0]["lr"] == unbroken.optimizer.param_groups[0]["lr"]


def test_a_run_whose_loss_is_not_finite_ends_before_its_weights_are_saved(tmp_path):
    trainer, _ = build(tmp_path, [], log_period=6)
    trainer.data_loader = [[0.5], [0.5], [0.5], [math.inf], [0.5]]
    with pytest.raises(LangDGError, match="iteration 3 is not finite: .*loss_sem_seg"):
        trainer.train(0, 6)
    assert [path.name for path in tmp_path.glob("model_*")] == ["model_0000001.pth"]


def fill_disk(_):
    raise OSError("the disk is full")


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), SystemExit),
        (lambda trainer: trainer.model.weight.data.fill_(math.nan), LangDGError),
        (fill_disk, OSError),
    ],
    ids=["signal", "nan", "disk"],
)
def test_a_run_that_ends_in_its_last_iteration_is_not_evaluated(tmp_path, last, expected):
    events: list = []
    trainer, _ = build(tmp_path, events, max_iter=3)
    run_step = trainer.run_step

    def run_last():
        if trainer.iter == 2:
            last(trainer)
        run_step()

    trainer.run_step = run_last
    with pytest.raises(expected):
        trainer.train(0, 3)
    assert events == []


def test_a_run_resumed_at_its_end_is_evaluated(tmp_path):
    events: list = []
    trainer, _ = build(tmp_path, events)
    trainer.train(6, 6)
    assert len(events) == 1


def test_losses_of_all_iterations_are_recorded_whatever_the_log_period(tmp_path):
    often, _ = build(tmp_path / "often", [], log_period=1)
    seldom, _ = build(tmp_path / "seldom", [], log_period=5)
    for trainer in (often, seldom):
        trainer.train(0, 6)
    losses = [t.storage.history("total_loss").values() for t in (often, seldom)]
    assert losses[0] == losses[1]
    assert [iteration for _, iteration in losses[1]] == list(range(6))


def test_log_period_without_iterations_is_refused(tmp_path):
    with pytest.raises(LangDGError, match="log_period is 0, expected a whole number of 1 or more"):
        build(tmp_path, [], log_period=0)
