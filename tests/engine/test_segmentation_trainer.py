"""What an iteration does to the weights, and what it reports."""

import pytest
import torch
from detectron2.engine import SimpleTrainer
from PIL import Image
from torch import Tensor, nn

from langdg_d2.engine import SegmentationTrainer
from langdg_d2.engine import trainer as segmentation_trainer
from langdg_d2.utils import amp as precision
from langdg_d2.utils.errors import LangDGError


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
        ({"log_period": 0}, "log_period is 0, expected a whole number of 1 or more"),
        ({"accumulate": 0}, "accumulate is 0, expected a whole number of 1 or more"),
    ],
)
def test_settings_without_sense_are_refused(options: dict, words: str) -> None:
    with pytest.raises(LangDGError, match=words):
        trained([], 0, **options)


def test_loads_detectron2s_and_its_own_states() -> None:
    loader = batches(6)
    unbroken = trained(loader, 6)
    for kind in (SimpleTrainer, SegmentationTrainer):
        first = trained(loader[:3], 3, kind)
        second = trained(loader[3:], 0)
        second.model.load_state_dict(first.model.state_dict())
        second.load_state_dict(first.state_dict())
        second.train(3, 6)
        assert torch.equal(weights(second), weights(unbroken))


class Averages(nn.Module):
    """Half of it learns from images; what is not finite in one gets into the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.offset = nn.Linear(1, 1)

    def forward(self, batch: list[dict]) -> dict[str, Tensor]:
        values = torch.stack([record["image"].float().mean() for record in batch])
        return {"loss_sem_seg": (self.weight * values).mean() + 0 * self.offset.weight.sum()}


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    """Eight grey images, each of its own grey."""
    files = [str(tmp_path / f"{k}.png") for k in range(8)]
    for k, file in enumerate(files):
        Image.new("RGB", (6, 4), (k, k, k)).save(file)
    return files


def of_files(files: list[str], lost: int | None = None) -> list[list[dict]]:
    """Batches of two images, the given one without numbers."""
    records = [
        {"file_name": file, "image": torch.full((3, 4, 6), float("nan") if k == lost else k)}
        for k, file in enumerate(files)
    ]
    return [records[k : k + 2] for k in range(0, len(records), 2)]


def run(model: nn.Module, loader: list, steps: int, **options) -> SegmentationTrainer:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    trainer = SegmentationTrainer(model=model, loader=loader, optimizer=optimizer, **options)
    trainer.train(0, steps)
    return trainer


def test_a_loss_that_is_not_finite_is_traced_to_the_images_of_its_batch(pictures) -> None:
    with pytest.raises(LangDGError) as raised:
        run(Averages(), of_files(pictures, lost=5), 4, log_period=4)
    said = str(raised.value)
    assert "the loss of iteration 2 is not finite: {'loss_sem_seg': nan}" in said
    assert f"Images of its batch: '{pictures[4]}', '{pictures[5]}' (float32); no weights" in said
    assert all(file not in said for file in (*pictures[:4], *pictures[6:]))
    assert "no weights were saved since. Resume" in said


def test_of_accumulated_batches_the_one_that_is_not_finite_is_named(pictures) -> None:
    with pytest.raises(LangDGError, match="loss of iteration 1 is not finite") as raised:
        run(Averages(), of_files(pictures, lost=6), 2, accumulate=2, log_period=2)
    assert f"Images of its batch: '{pictures[6]}', '{pictures[7]}' (float32)" in str(raised.value)
    assert not any(file in str(raised.value) for file in pictures[:6])


class Root(nn.Module):
    """Its loss is finite where its gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.weight * batch).abs().sum().sqrt()}


def test_weights_that_are_not_finite_end_the_run_though_all_losses_are() -> None:
    with pytest.raises(LangDGError, match="weights are not finite after iteration 0"):
        run(Root(), [torch.ones(2)], 1)


@pytest.fixture
def half_everywhere(monkeypatch) -> None:
    """Allow float16, with its scaled losses, on the CPU."""
    for module in (precision, segmentation_trainer):
        monkeypatch.setattr(module, "dtype_of", lambda name, _: precision.PRECISIONS[name])


class Steep(nn.Module):
    """Its gradient is its input; the loss stays small."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.weight * batch).sum()}


def test_overflows_skip_a_step_and_scale_is_resumed(half_everywhere) -> None:
    large = torch.tensor([3e38])  # overflows when scaled
    first = run(Steep(), [torch.ones(1), large, large], 3, precision="float16")
    assert first.model.weight.item() == -0.5  # of the first step alone
    assert [v for v, _ in first.storage.history("grad_scale").values()] == [65536, 32768, 16384]
    second = run(Steep(), [large], 0, precision="float16")
    second.load_state_dict(first.state_dict())
    second.train(3, 4)
    assert second.model.weight.item() == 0
    assert second.storage.latest()["grad_scale"][0] == 8192
    assert second.state_dict()["grad_scaler"] == first.state_dict()["grad_scaler"] | {
        "scale": 8192.0
    }


class Mute(nn.Module):
    """A model whose loss is finite whatever its gradient is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        (loss,) = self.model(torch.ones_like(batch)).values()
        loss.register_hook(lambda gradient: gradient * batch.squeeze())
        return {"loss": loss}


def test_a_scale_that_no_gradient_fits_ends_the_run(half_everywhere) -> None:
    hopeless = [torch.tensor([float("inf")])] * 100
    model = Steep()
    with pytest.raises(LangDGError, match="iteration 29 overflow .*scaled by 6.1"):
        run(Mute(model), hopeless, 100, precision="float16", log_period=10)
    assert model.weight.item() == 0
