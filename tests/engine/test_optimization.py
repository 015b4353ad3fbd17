"""Schedules against their formulas, the two parameter groups, and clipped gradients."""

import math

import pytest
import torch
from torch import nn

from langdg_d2.engine import (
    CosineWeightDecay,
    GradientClipping,
    SegmentationTrainer,
    parameter_groups,
    polynomial_lr,
)
from langdg_d2.utils.errors import LangDGError


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
        self.head = nn.Linear(3, 1)
        self.backbone[0].requires_grad_(False)


def test_backbone_and_head_learn_at_their_own_rates_and_frozen_parameters_not_at_all():
    model = Network()
    backbone, head = parameter_groups(model, base_lr=0.1, backbone_lr_factor=0.1)
    assert backbone["lr"] == pytest.approx(0.01)
    assert head["lr"] == 0.1
    assert [id(p) for p in backbone["params"]] == [id(p) for p in model.backbone[1].parameters()]
    assert [id(p) for p in head["params"]] == [id(p) for p in model.head.parameters()]


@pytest.mark.parametrize("factor", [0.1, 1.0, 2.0])
def test_groups_do_not_depend_on_the_factor(factor):
    backbone, head = parameter_groups(Network(), base_lr=0.1, backbone_lr_factor=factor)
    assert (len(backbone["params"]), len(head["params"])) == (2, 2)
    assert (backbone["lr"], head["lr"]) == (pytest.approx(0.1 * factor), 0.1)


def test_layers_learn_slower_toward_the_image():
    model = Network()
    model.backbone.requires_grad_(True)
    first, second = model.backbone
    model.backbone.layer_groups = lambda: {"layers.0": [first], "layers.1": [second]}
    groups = parameter_groups(model, base_lr=0.1, backbone_lr_factor=0.1, layer_decay=0.8)
    assert [group["lr"] for group in groups] == pytest.approx([0.008, 0.01, 0.1])
    for group, module in zip(groups, (first, second, model.head), strict=True):
        assert {id(p) for p in group["params"]} == {id(p) for p in module.parameters()}
    with pytest.raises(LangDGError, match="layer_decay is 1.5"):
        parameter_groups(model, base_lr=0.1, backbone_lr_factor=0.1, layer_decay=1.5)


def test_frozen_backbone_leaves_one_group_and_a_frozen_model_is_refused():
    model = Network()
    model.backbone.requires_grad_(False)
    assert len(parameter_groups(model, base_lr=0.1, backbone_lr_factor=0.1)) == 1
    model.requires_grad_(False)
    with pytest.raises(LangDGError, match="no trainable parameter"):
        parameter_groups(model, base_lr=0.1, backbone_lr_factor=0.1)


def test_learning_rate_decays_polynomially_with_an_absolute_floor_for_each_group():
    groups = parameter_groups(Network(), base_lr=0.1, backbone_lr_factor=0.1)
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = polynomial_lr(optimizer, max_iter=50, power=0.9, min_lr=1e-3)
    for iteration in range(60):
        decay = max(0.0, 1 - iteration / 50) ** 0.9
        expected = [max(0.01 * decay, 1e-3), max(0.1 * decay, 1e-3)]
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_schedule_continues_from_its_state():
    def build():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        return optimizer, polynomial_lr(optimizer, max_iter=10, power=0.9, min_lr=1e-6)

    optimizer, scheduler = build()
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    resumed_optimizer, resumed = build()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(3):
        for one in (optimizer, resumed_optimizer):
            one.step()
        scheduler.step()
        resumed.step()
        assert resumed_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power": -0.9}, r"power -0\.9 and min_lr 1e-06 .* must not be negative"),
        ({"min_lr": -1.0}, r"min_lr -1\.0 of the decay must not be negative"),
    ],
)
def test_schedule_out_of_range_is_refused(change, message):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(LangDGError, match=message):
        polynomial_lr(optimizer, **{"max_iter": 10, "power": 0.9, "min_lr": 1e-6} | change)


@pytest.mark.parametrize(("lr", "factor"), [(0.0, 0.1), (-0.1, 0.1), (0.1, 0.0), (0.1, -1.0)])
def test_learning_rates_that_are_not_positive_are_refused(lr, factor):
    message = rf"learning rate {lr} and the backbone's factor {factor} must be positive"
    with pytest.raises(LangDGError, match=message):
        parameter_groups(Network(), base_lr=lr, backbone_lr_factor=factor)


def test_warmup_multiplies_the_decay_linearly():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = polynomial_lr(optimizer, max_iter=50, power=0.9, min_lr=1e-6, warmup_iters=10)
    for iteration in range(50):
        decay = 0.1 * (1 - iteration / 50) ** 0.9
        expected = max(decay * min(1, iteration / 10), 1e-6)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        scheduler.step()


class Line(nn.Module):
    """Its gradient is the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, batch):
        return {"loss": self.weight @ torch.tensor(batch)}


def train_line(batches, hook, start=0, accumulate=1):
    """Train with a hook; returns the trainer, and the weight and its decay in each iteration."""
    model, seen = Line(), []
    groups = [
        {"params": [model.weight], "weight_decay": 0.0},
        {"params": [nn.Parameter(torch.zeros(1))], "weight_decay": 0.05},
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    trainer = SegmentationTrainer(
        model=model, loader=batches, optimizer=optimizer, accumulate=accumulate
    )
    step = optimizer.step

    def recorded_step(*args, **options):
        seen.append([group["weight_decay"] for group in optimizer.param_groups])
        return step(*args, **options)

    optimizer.step = recorded_step
    trainer.register_hooks([hook])
    trainer.train(start, start + len(batches) // accumulate)
    return model.weight.tolist(), seen


def test_long_gradients_are_clipped_and_short_ones_not():
    weight, _ = train_line([[3.0, 4.0]], GradientClipping(max_norm=0.5))
    assert weight == pytest.approx([-0.3, -0.4])
    weight, _ = train_line([[0.03, 0.04]], GradientClipping(max_norm=0.5))
    assert weight == pytest.approx([-0.03, -0.04])


def test_accumulated_gradients_are_clipped_together():
    weight, _ = train_line([[6.0, 0.0], [0.0, 8.0]], GradientClipping(max_norm=0.5), accumulate=2)
    assert weight == pytest.approx([-0.3, -0.4])


def test_gradients_of_scaled_losses_are_clipped_as_others():
    class Scaled(GradientClipping):
        def before_train(self):
            self.trainer._scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    weight, _ = train_line([[3.0, 4.0]], Scaled(max_norm=0.5))
    assert weight == pytest.approx([-0.3, -0.4])


def test_weight_decay_follows_half_a_cosine():
    _, seen = train_line([[0.0, 0.0]] * 8, CosineWeightDecay(final=0.01))
    expected = [0.01 + 0.04 * (1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)]
    assert [decay for _, decay in seen] == pytest.approx(expected)
    assert {without for without, _ in seen} == {0.0}


def test_hooks_out_of_range_are_refused():
    with pytest.raises(LangDGError, match="max_norm 0 of gradients must be positive"):
        GradientClipping(max_norm=0)
    with pytest.raises(LangDGError, match=r"final weight decay -0\.1 must not be negative"):
        CosineWeightDecay(final=-0.1)
