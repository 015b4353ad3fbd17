"""Synchronised BatchNorm: what is replaced, and that processes train as one."""

from argparse import Namespace

import pytest
import torch
from detectron2.layers import NaiveSyncBatchNorm
from torch import nn

from langdg_d2.engine import distribute
from langdg_d2.engine.batch_norm import synchronize_batch_norm


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)), nn.ReLU()
    )
    model[2].requires_grad_(False).eval()
    return model


def batch() -> torch.Tensor:
    return torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(1))


def gradients(model: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    model(inputs).square().mean().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]


def test_only_trainable_norms_are_replaced_and_their_state_kept():
    model = network()
    model[1].running_mean.fill_(3.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    tensors = [*model.parameters(), *model.buffers()]
    synchronize_batch_norm(model)
    assert isinstance(model[1], NaiveSyncBatchNorm)
    assert type(model[2][0]) is nn.BatchNorm2d
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], before[k]) for k in before)
    # An optimizer that was made before goes on with them.
    assert {id(t) for t in (*model.parameters(), *model.buffers())} == {id(t) for t in tensors}


def test_one_process_keeps_its_model():
    model = network()
    assert distribute(model, find_unused_parameters=False) is model
    assert type(model[1]) is nn.BatchNorm2d


def _train_half(args: Namespace) -> None:
    from detectron2.utils import comm

    rank = comm.get_rank()
    model = network()
    parallel = distribute(model, broadcast_buffers=False)
    own = gradients(parallel, batch()[2 * rank : 2 * rank + 2])
    torch.save((own, model.state_dict()), f"{args.rank_file}{rank}")


@pytest.mark.filterwarnings("ignore")
def test_two_processes_get_the_gradients_and_means_of_one(in_two_processes, tmp_path):
    in_two_processes(_train_half, rank_file=str(tmp_path / "rank"))
    model = network()
    expected = gradients(model, batch())
    for rank in (0, 1):
        found, state = torch.load(tmp_path / f"rank{rank}")
        for ours, reference in zip(found, expected, strict=True):
            assert torch.allclose(ours, reference, rtol=1e-4, atol=1e-6)
        assert torch.allclose(state["1.running_mean"], model[1].running_mean, atol=1e-6)
