"""Averaged weights: their values, who gets them, and exact resumption."""

import pytest
import torch
from torch import nn

from langdg_d2.engine import (
    BestWeightsHook,
    RunSettings,
    SegmentationTrainer,
    StrictCheckpointer,
    WeightAverage,
    polynomial_lr,
    training_hooks,
)
from langdg_d2.utils.errors import LangDGError

DECAY = 0.75


class Model(nn.Module):
    """What trains grows by one in each iteration."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {"loss": -(self.weight * self.frozen).sum()}


@pytest.fixture
def train(tmp_path):
    """Function that trains from an iteration to the sixth; returns the model and what was seen."""

    def run(folder, start=0, end=6, start_iter=0):
        model, seen = Model(), []
        optimizer = torch.optim.AdamW(
            [{"params": [model.weight], "lr": 1.0}], lr=1.0, weight_decay=0.01
        )
        trainer = SegmentationTrainer(model=model, loader=[[]] * 99, optimizer=optimizer)
        checkpointer = StrictCheckpointer(model, str(tmp_path / folder), trainer=trainer)

        def evaluate():
            seen.append(model.weight.item())
            return {"source": {"mIoU": 1.0}}

        best = BestWeightsHook(
            evaluate=evaluate,
            period=2,
            model=model,
            output_dir=str(tmp_path / folder),
            settings=RunSettings({}),
        )
        hooks = training_hooks(
            scheduler=polynomial_lr(optimizer, max_iter=99, power=0.0, min_lr=0.0),
            checkpointer=checkpointer,
            checkpointer_options={"period": 2},
            evaluate=evaluate,
            extra=[WeightAverage(decay=DECAY, start_iter=start_iter)],
            selection=[best],
            eval_period=0,
            log_period=1,
            max_iter=end,
        )
        trainer.register_hooks(hooks)
        if start:
            checkpointer.start(str(tmp_path / folder / f"model_{start - 1:07d}.pth"), resume=True)
        trainer.train(start, end)
        return model, seen

    return run


def weights(iterations: int) -> list[float]:
    """The weight after each iteration, trained without averages."""
    model, found = Model(), []
    optimizer = torch.optim.AdamW([model.weight], lr=1.0, weight_decay=0.01)
    for _ in range(iterations):
        optimizer.zero_grad()
        model([])["loss"].backward()
        optimizer.step()
        found.append(model.weight.item())
    return found


def averages(trained: list[float], start_iter: int = 0) -> list[float]:
    average, found = 0.0, []
    for k, weight in enumerate(trained):
        average = weight if k < start_iter else DECAY * average + (1 - DECAY) * weight
        found.append(average)
    return found


@pytest.mark.parametrize("start_iter", [0, 3])
def test_evaluations_and_the_final_model_are_averaged(train, start_iter):
    model, seen = train("run", start_iter=start_iter)
    expected = averages(weights(6), start_iter)
    # Two evaluations during training; at its end, one for the best weights and the last one.
    assert seen == pytest.approx([expected[1], expected[3], expected[5], expected[5]])
    assert model.weight.item() == seen[-1]
    assert model.frozen.item() == 1.0


def test_checkpoints_have_averages_and_trained_weights(train, tmp_path):
    train("run")
    trained = weights(6)
    for name, k in (("model_0000001", 1), ("model_0000003", 3), ("model_final", 5)):
        saved = torch.load(tmp_path / "run" / f"{name}.pth", weights_only=True)
        assert saved["model"]["weight"].item() == pytest.approx(averages(trained)[k])
        hook = saved["trainer"]["hooks"]["WeightAverage"]
        assert {key: value.item() for key, value in hook["trained"].items()} == {
            "weight": trained[k]
        }
    best = torch.load(tmp_path / "run/model_best.pth", weights_only=True)
    assert best["model"]["weight"].item() == pytest.approx(averages(trained)[1])


def test_resumed_averages_are_those_of_unbroken_runs(train, tmp_path):
    _, unbroken = train("unbroken", start_iter=1)
    train("cut", start_iter=1)
    (tmp_path / "cut/model_final.pth").unlink()
    _, resumed = train("cut", start=4, start_iter=1)
    assert resumed == unbroken[2:]
    one, other = (
        torch.load(tmp_path / f"{folder}/model_final.pth", weights_only=True)
        for folder in ("unbroken", "cut")
    )
    assert torch.equal(one["model"]["weight"], other["model"]["weight"])
    hooks = [end["trainer"]["hooks"]["WeightAverage"] for end in (one, other)]
    assert torch.equal(hooks[0]["trained"]["weight"], hooks[1]["trained"]["weight"])


@pytest.mark.parametrize(("decay", "start_iter"), [(1.0, 0), (-0.1, 0), (0.9, -1)])
def test_settings_out_of_range_are_refused(decay, start_iter):
    with pytest.raises(LangDGError, match="of averaged weights"):
        WeightAverage(decay=decay, start_iter=start_iter)


def test_a_finished_hook_trains_from_what_the_model_has():
    model = Model()
    optimizer = torch.optim.SGD([model.weight], lr=1.0)
    trainer = SegmentationTrainer(model=model, loader=[[]] * 99, optimizer=optimizer)
    hook = WeightAverage(decay=DECAY)
    trainer.register_hooks([hook])
    trainer.train(0, 2)
    average = model.weight.item()
    trainer.train(2, 3)
    # The gradient is -1.
    assert hook.state_dict()["trained"]["weight"].item() == average + 1
