"""Two processes train as one, and the main one tells what another has lost."""

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from detectron2.utils import comm
from torch import Tensor, nn

from langdg_d2.engine import (
    GradientClipping,
    SegmentationTrainer,
    WeightAverage,
    distribute,
    find_starting_point,
    setup,
)
from langdg_d2.modeling.checkpoint_files import CheckpointError
from langdg_d2.utils.errors import LangDGError


def with_norm() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)), nn.ReLU()
    )
    model[2].requires_grad_(False).eval()
    return model


def batch() -> Tensor:
    return torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(1))


def far_from_zero() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return (10 + 0.3 * torch.randn(4, 2, 16, 16, generator=generator)).bfloat16()


def gradients(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    model(inputs).square().mean().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]


class Regression(nn.Module):
    """The mean product of a linear layer and its inputs; batches may be dicts of images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(8, 4)

    def forward(self, records: list[dict]) -> dict[str, Tensor]:
        return {"loss": self.linear(torch.stack([r["image"] for r in records])).square().mean()}


def batches(count: int) -> list[list[dict]]:
    images = torch.randn(count, 4, 8, generator=torch.Generator().manual_seed(1))
    return [
        [{"file_name": f"{k}_{j}.png", "image": image} for j, image in enumerate(each)]
        for k, each in enumerate(images)
    ]


def train(model: nn.Module, loader: list[list[dict]], steps: int) -> nn.Module:
    """With clipped gradients; the model ends with the averages of its weights."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    trainer = SegmentationTrainer(
        model=model, loader=loader, optimizer=optimizer, accumulate=2, log_period=2
    )
    trainer.register_hooks([GradientClipping(max_norm=0.1), WeightAverage(decay=0.5)])
    trainer.train(0, steps)
    return model


def _half(args: Namespace) -> None:
    rank = comm.get_rank()
    model = with_norm().double()
    own = gradients(distribute(model, broadcast_buffers=False), batch().double().chunk(2)[rank])
    loader = [records[2 * rank : 2 * rank + 2] for records in batches(8)]
    trained = train(distribute(Regression()), loader, 4)
    norm = distribute(nn.Sequential(nn.BatchNorm2d(2)))
    norm(far_from_zero().chunk(2)[rank])
    found = (own, model.state_dict(), norm.module.state_dict(), trained.module.state_dict())
    torch.save(found, f"{args.folder}/{rank}.pth")
    if rank == 1:
        loader[3][0]["image"][5] = torch.inf
    try:
        train(distribute(Regression()), loader, 2)
    except LangDGError as error:
        Path(args.folder, f"{rank}.txt").write_text(str(error))


@pytest.fixture(scope="module")
def folder(in_two_processes: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes have left."""
    folder = tmp_path_factory.mktemp("left")
    in_two_processes(_half, folder=str(folder))
    return folder


@pytest.mark.filterwarnings("ignore")
def test_gradients_and_means_of_two_processes_are_those_of_one(folder: Path) -> None:
    model = with_norm().double()
    expected = gradients(model, batch().double())
    for rank in (0, 1):
        found, state, *_ = torch.load(folder / f"{rank}.pth")
        for ours, reference in zip(found, expected, strict=True):
            assert torch.allclose(ours, reference, rtol=1e-10, atol=1e-12)
        assert torch.allclose(state["1.running_mean"], model[1].running_mean, atol=1e-12)


def test_variance_of_low_precision_values_far_from_zero_is_that_of_one(folder: Path) -> None:
    expected = nn.BatchNorm2d(2)
    expected(far_from_zero().float())
    for rank in (0, 1):
        _, _, found, _ = torch.load(folder / f"{rank}.pth")
        for name in ("running_mean", "running_var"):
            ours, reference = found[f"0.{name}"], getattr(expected, name)
            torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)


def test_batches_accumulated_by_two_processes_make_the_steps_of_one(folder: Path) -> None:
    expected = train(Regression(), batches(8), 4).state_dict()
    for rank in (0, 1):
        *_, found = torch.load(folder / f"{rank}.pth")
        for name, weights in expected.items():
            torch.testing.assert_close(found[name], weights, rtol=1e-5, atol=1e-6)


def test_the_main_process_names_the_images_that_another_has_lost(folder: Path) -> None:
    said = (folder / "0.txt").read_text()
    assert said.startswith("process 1: the loss of iteration 1 is not finite: {'loss': ")
    assert "Images of its batch: '3_2.png', '3_3.png' (float32); no weights" in said
    assert not (folder / "1.txt").exists()


MISREAD = "CheckpointError: processes read different files for the checkpoint 'model.pth'"
# What the disks of two machines hold, how the run begins, and what both processes do.
BEGINNINGS = [
    ((4, 4), {"resume": True}, "model.pth True"),
    ((4, 4), {"eval_only": True}, "model.pth False"),
    ((4, 4), {"init_checkpoint": "model.pth"}, "model.pth False"),
    ((4, 2), {"resume": True}, MISREAD),
    ((4, 2), {"eval_only": True}, MISREAD),
    ((4, None), {"init_checkpoint": "model.pth"}, MISREAD),
    ((4, None), {"resume": True}, MISREAD),
    ((None, 4), {"resume": True}, " False"),
    ((None, 4), {"eval_only": True}, "FileNotFoundError: there is no checkpoint in '.'"),
    ((None, 4), {"init_checkpoint": "model.pth"}, "FileNotFoundError: train.init_checkpoint"),
]


def _begin(args: Namespace) -> None:
    """Each with a disk of its own, as on several machines."""
    rank = comm.get_rank()
    for case, (disks, how, _) in enumerate(BEGINNINGS):
        folder = Path(args.folder, str(case), str(rank))
        folder.mkdir(parents=True)
        os.chdir(folder)
        if disks[rank] is not None:
            state = {"model": {"weight": torch.full((1,), disks[rank])}, "trainer": {}}
            torch.save(state, "model.pth")
            Path("last_checkpoint").write_text("model.pth")
        how = {"init_checkpoint": "", "resume": False, "eval_only": False} | how
        try:
            found = find_starting_point(output_dir=".", max_iter=9, **how)
            said = f"{found.checkpoint} {found.resumed}"
        except (CheckpointError, FileNotFoundError) as error:
            said = f"{type(error).__name__}: {error}"
        Path("said.txt").write_text(said)


def test_processes_begin_with_one_checkpoint_or_none(in_two_processes, tmp_path) -> None:
    in_two_processes(_begin, folder=str(tmp_path))
    for case, (_, _, expected) in enumerate(BEGINNINGS):
        said = [(tmp_path / f"{case}/{rank}/said.txt").read_text() for rank in (0, 1)]
        assert said[0] == said[1], BEGINNINGS[case]
        assert said[0].startswith(expected), BEGINNINGS[case]


def _start(args: Namespace) -> None:
    rank = comm.get_rank()
    started = vars(args) | {"opts": [*args.opts, f"optimizer.params.base_lr={0.1 * (1 + rank)}"]}
    try:
        setup(Namespace(**started))
    except LangDGError as error:
        Path(args.folder, f"{rank}.txt").write_text(str(error))


def test_processes_with_other_settings_are_refused(in_two_processes, tmp_path) -> None:
    config = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
    opts = [f"train.output_dir={tmp_path}/out", "train.device=cpu"]
    in_two_processes(_start, config_file=config, opts=opts, folder=str(tmp_path))
    for rank in (0, 1):
        message = (tmp_path / f"{rank}.txt").read_text()
        assert message.startswith(
            "process 0 was started with optimizer.params.base_lr=0.1, process 1 with 0.2"
        )
    assert not (tmp_path / "out").exists()
