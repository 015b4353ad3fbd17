"""Folding is an exact rewriting, seen by nobody but the clock."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch import nn

from langdg_d2.modeling.folding import FoldedRuntime, fold_batch_norm


@pytest.fixture
def block() -> nn.Module:
    """Convolutions with and without BatchNorm behind them, whose statistics are anything."""
    inner = nn.Sequential(nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), inner, nn.Conv2d(4, 2, 1))
    for norm in (module[1], inner[1]):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 1.5)
    return module.eval()


def images(**kwargs) -> torch.Tensor:
    return torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0)).to(**kwargs)


def test_folded_copy_has_no_batch_norm_and_gives_the_same(block):
    before = deepcopy(block.state_dict())
    folded = fold_batch_norm(block)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [p for p in folded.parameters() if p.requires_grad]
    torch.testing.assert_close(folded(images()), block(images()), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(block.state_dict(), before, rtol=0, atol=0)


def test_gradients_of_inputs_are_the_same(block):
    block.requires_grad_(False)
    gradients = []
    for call in (block, lambda x: FoldedRuntime()(block, x)):
        x = images().requires_grad_()
        call(x).square().sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_runtime_follows_every_change_of_the_module(block):
    runtime, other = FoldedRuntime(), deepcopy(block)
    first = runtime(block, images())
    nn.init.normal_(other[0].weight)

    def changes():
        yield lambda: block[1].running_mean.add_(1)
        yield lambda: block.load_state_dict(other.state_dict())
        yield lambda: setattr(block[0], "weight", nn.Parameter(block[0].weight * 2))
        yield lambda: block.requires_grad_(False).to(memory_format=torch.channels_last)
        yield lambda: block[2][1].weight.mul_(3)

    for change in changes():
        change()
        torch.testing.assert_close(runtime(block, images()), block(images()), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(runtime(block, images()), first)
    block.double()
    assert runtime(block, images(dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("trains", ["statistics", "weights"])
def test_what_trains_is_called_as_it_is(block, trains):
    if trains == "statistics":
        block.requires_grad_(False)[1].train()
    before = block[1].running_mean.clone()
    y = FoldedRuntime()(block, images())
    assert y.requires_grad == (trains == "weights")
    assert torch.equal(before, block[1].running_mean) == (trains == "weights")


@torch.no_grad()
def test_copy_is_made_once_and_in_the_precision_of_autocast(block, monkeypatch):
    made = []
    monkeypatch.setattr(
        "langdg_d2.modeling.folding.fold_batch_norm",
        lambda module: made.append(module) or fold_batch_norm(module),
    )
    runtime = FoldedRuntime()
    for _ in range(3):
        exact = runtime(block, images())
    assert len(made) == 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            rounded = runtime(block, images())
    assert len(made) == 2
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.03, atol=0.05)


def test_a_training_step_after_the_copy_was_made_is_noticed(block):
    runtime = FoldedRuntime()
    with torch.no_grad():
        first = runtime(block, images())
    block.train()(images())  # moves the running statistics
    block.eval()
    with torch.no_grad():
        second = runtime(block, images())
        torch.testing.assert_close(second, block(images()), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(first, second)


def test_what_inference_mode_leaves_behind_serves_in_training(block):
    block.requires_grad_(False)
    runtime = FoldedRuntime()
    with torch.inference_mode():
        expected = runtime(block, images())
    x = images().requires_grad_()
    y = runtime(block, x)
    y.sum().backward()
    assert torch.equal(y, expected)
    assert x.grad.any()
    with torch.inference_mode():
        made_there = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)).eval()
        assert FoldedRuntime()(made_there, images()).shape == (2, 6, 6, 7)


def test_dropout_that_is_switched_on_by_hand_stays_on(block):
    block.append(nn.Dropout(0.5)).requires_grad_(False)
    block[-1].train()
    assert (FoldedRuntime()(block, images()) == 0).any()


def test_hooks_see_the_modules_own_layers(block):
    runtime, seen = FoldedRuntime(), []
    with torch.no_grad():
        runtime(block, images())
        handle = block[2][0].register_forward_hook(lambda *_: seen.append(1))
        runtime(block, images())
        handle.remove()
        runtime(block, images())
    assert seen == [1]


def test_of_a_sequence_the_parts_that_do_not_train_are_folded(block, monkeypatch):
    made = []
    monkeypatch.setattr(
        "langdg_d2.modeling.folding.fold_batch_norm",
        lambda module: made.append(module) or fold_batch_norm(module),
    )
    block[:3].requires_grad_(False)
    y = FoldedRuntime()(block, images())
    assert y.requires_grad
    assert block[2] in made
    assert block[3] not in made
    torch.testing.assert_close(y, block(images()), rtol=1e-5, atol=1e-6)


def test_copies_of_the_holder_hold_no_folded_weights(block):
    runtime = FoldedRuntime()
    with torch.no_grad():
        expected = runtime(block, images())
        copies = [deepcopy(runtime), pickle.loads(pickle.dumps(runtime))]
        for copy in copies:
            assert not vars(copy)["_parts"]
            assert vars(copy)["_copy"] is None
            torch.testing.assert_close(copy(block, images()), expected)


@pytest.mark.filterwarnings("ignore")
def test_a_trace_shows_the_modules_own_weights(block):
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.runtime = block, FoldedRuntime()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.runtime(self.block, x)

    holder = Holder().eval()
    with torch.no_grad():
        traced = torch.jit.trace(holder, images(), check_trace=False)
        before = traced(images())
        block[3].bias.add_(1)  # constants would not change
        torch.testing.assert_close(traced(images()), before + 1)
