"""The weights that score best on the source are kept, and nothing is resumed from them."""

import logging

import pytest
import torch
from torch import nn

from langdg_d2.engine import (
    BestWeightsHook,
    RunSettings,
    SegmentationTrainer,
    StrictCheckpointer,
    polynomial_lr,
    training_hooks,
)


class Model(nn.Module):
    """The weight counts iterations."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {"loss": -self.weight.sum()}


@pytest.fixture
def train(tmp_path):
    """Function that trains from one iteration to another, with a score for each second one."""

    def run(scores, start, end, validated_on="a"):
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        trainer = SegmentationTrainer(model=model, loader=[[]] * 99, optimizer=optimizer)
        checkpointer = StrictCheckpointer(model, str(tmp_path), trainer=trainer)
        hooks = training_hooks(
            scheduler=polynomial_lr(optimizer, max_iter=99, power=0.0, min_lr=0.0),
            checkpointer=checkpointer,
            checkpointer_options={"period": 2},
            evaluate=dict,
            selection=[
                BestWeightsHook(
                    evaluate=lambda: {"source": {"mIoU": scores[trainer.iter]}},
                    period=2,
                    model=model,
                    output_dir=str(tmp_path),
                    settings=RunSettings({"model": {"stride": 16}}),
                    validated_on=validated_on,
                )
            ],
            eval_period=0,
            log_period=1,
            max_iter=end,
        )
        trainer.register_hooks(hooks)
        if start:
            checkpointer.start(str(tmp_path / f"model_{start - 1:07d}.pth"), resume=True)
        trainer.train(start, end)

    return run


def best(folder):
    return torch.load(folder / "model_best.pth")


def test_the_best_weights_are_kept_and_never_resumed(train, tmp_path):
    train({1: 10.0, 3: 30.0, 5: 20.0, 6: 5.0}, 0, 6)
    kept = best(tmp_path)
    assert kept["model"]["weight"] == 4
    assert {key: kept[key] for key in ("metric", "score", "iteration")} == {
        "metric": "source/mIoU",
        "score": 30.0,
        "iteration": 3,
    }
    assert "trainer" not in kept
    assert kept["settings"]["model.stride"] == 16
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


def test_the_last_weights_can_be_the_best(train, tmp_path):
    train({1: 10.0, 3: 30.0}, 0, 3)
    assert best(tmp_path)["model"]["weight"] == 3


def test_a_resumed_run_replaces_only_what_is_worse(train, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    train({1: 10.0, 3: 30.0, 5: 20.0, 6: 5.0}, 0, 6)
    train({5: 29.0, 7: 28.0, 9: 1.0}, 4, 9)
    assert best(tmp_path)["score"] == 30.0
    assert "Best so far: source/mIoU 30.00" in caplog.text
    train({5: 29.0, 7: 31.0, 9: 1.0}, 4, 9)
    assert best(tmp_path)["score"] == 31.0
    train({1: 2.0, 3: 1.0}, 0, 3)  # not resumed: another run
    assert best(tmp_path)["score"] == 2.0


def test_scores_of_other_settings_are_not_compared(train, tmp_path):
    train({1: 10.0, 3: 30.0, 5: 20.0, 6: 5.0}, 0, 6)
    train({5: 2.0, 7: 3.0, 9: 1.0}, 4, 9, validated_on="b")
    assert best(tmp_path)["score"] == 3.0
