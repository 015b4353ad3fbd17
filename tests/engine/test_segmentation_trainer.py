"""What an iteration does to the weights, and what it reports."""

import pytest
import torch
from detectron2.engine import SimpleTrainer
from torch import Tensor, nn

from langdg_d2.engine import SegmentationTrainer


class Regression(nn.Module):
    """Two losses of a linear layer; keeps the type of its products."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(8, 4)
        self.seen: set[torch.dtype] = set()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.linear(x)
        self.seen.add(y.dtype)
        return {"loss_a": y.float().square().mean(), "loss_b": y.float().abs().mean()}


def batches(count: int) -> list[Tensor]:
    return list(torch.randn(count, 16, 8, generator=torch.Generator().manual_seed(1)))


def trained(loader: list[Tensor], steps: int, kind=SegmentationTrainer, **options) -> SimpleTrainer:
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    if kind is SegmentationTrainer:
        trainer = SegmentationTrainer(model=model, loader=loader, optimizer=optimizer, **options)
    else:
        trainer = kind(model, loader, optimizer)
    trainer.train(0, steps)
    return trainer


def weights(trainer: SimpleTrainer) -> Tensor:
    return trainer.model.linear.weight.detach()


def test_in_single_precision_it_is_detectron2s_own_trainer() -> None:
    loader = batches(5)
    ours, theirs = trained(loader, 5, log_period=2), trained(loader, 5, SimpleTrainer)
    assert torch.equal(weights(ours), weights(theirs))
    for name in ("loss_a", "loss_b", "total_loss"):
        values = [[v for v, _ in t.storage.history(name).values()] for t in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_accumulated_batches_make_the_step_of_their_mean_loss() -> None:
    loader = batches(6)
    together = [torch.cat(loader[:3]), torch.cat(loader[3:])]  # mean losses of equal parts
    accumulated, at_once = trained(loader, 2, accumulate=3), trained(together, 2)
    torch.testing.assert_close(weights(accumulated), weights(at_once), rtol=1e-5, atol=1e-6)
    losses = [t.storage.history("total_loss").values() for t in (accumulated, at_once)]
    for (value, iteration), (expected, same) in zip(*losses, strict=True):
        assert (value, iteration) == (pytest.approx(expected, rel=1e-5), same)


def test_products_are_computed_in_the_wanted_precision_and_weights_stay_single() -> None:
    loader = batches(5)
    half, single = trained(loader, 5, precision="bfloat16"), trained(loader, 5)
    assert (half.model.seen, single.model.seen) == ({torch.bfloat16}, {torch.float32})
    assert weights(half).dtype == torch.float32
    difference = (weights(half) - weights(single)).norm() / weights(single).norm()
    assert 0 < difference < 2**-7  # bfloat16 has 8 bits


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "float16"}, "'float16' is for GPUs"),
        ({"precision": "half"}, "'half', expected one of float32, bfloat16, float16"),
        ({"log_period": 0}, "log_period 0 must be at least 1"),
        ({"accumulate": 0}, "accumulate 0 must be at least 1"),
    ],
)
def test_settings_without_sense_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trained([], 0, **options)


def test_states_of_detectron2s_trainer_and_of_its_own_are_taken_up() -> None:
    loader = batches(6)
    unbroken = trained(loader, 6)
    for kind in (SimpleTrainer, SegmentationTrainer):
        first = trained(loader[:3], 3, kind)
        second = trained(loader[3:], 0)
        second.model.load_state_dict(first.model.state_dict())
        second.load_state_dict(first.state_dict())
        second.train(3, 6)
        assert torch.equal(weights(second), weights(unbroken))
