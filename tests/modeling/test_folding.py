"""Folding is an exact rewriting between two points, and nothing is left of it after."""

import pickle
from contextlib import ExitStack
from copy import deepcopy

import pytest
import torch
from torch import nn

from langdg_d2.modeling.fast_paths import plain_paths
from langdg_d2.modeling.folding import Folds, compile_folded, fold, fold_batch_norm, folded

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Network(nn.Module):
    """Convolutions with and without BatchNorm behind them, whose statistics are anything."""

    def __init__(self):
        super().__init__()
        convolution = nn.Conv2d(6, 4, 1, bias=False)
        inner = nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.block = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), inner, nn.Conv2d(4, 2, 1))
        for norm in (self.block[1], inner[1]):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
        self.folds = Folds(self.block)

    def forward(self, x):
        return self.folds("block", self.block, x)


@pytest.fixture
def network():
    return Network().eval()


@pytest.fixture
def made(monkeypatch):
    """The layers that copies were made of."""
    layers = []

    def recorded(module):
        layers.append(module)
        return fold_batch_norm(module)

    monkeypatch.setattr("langdg_d2.modeling.folding.fold_batch_norm", recorded)
    return layers


def images(**kwargs):
    return torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0)).to(**kwargs)


def test_folded_copy_has_no_batch_norm_and_gives_the_same(network):
    block = network.block
    before = deepcopy(block.state_dict())
    copy = fold_batch_norm(block)
    assert not [m for m in copy.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [p for p in copy.parameters() if p.requires_grad]
    torch.testing.assert_close(copy(images()), block(images()), **CLOSE)
    torch.testing.assert_close(block.state_dict(), before, rtol=0, atol=0)


@torch.no_grad()
def test_only_between_its_points_is_a_model_folded(network, made):
    plain = network(images())
    assert not made
    with folded(network, dtype=torch.float32):
        for _ in range(3):
            torch.testing.assert_close(network(images()), plain, **CLOSE)
        assert made == [network.block]
    assert torch.equal(network(images()), plain)
    assert len(made) == 1


def test_gradients_of_inputs_are_the_same(network):
    network.requires_grad_(False)
    gradients = []
    for _ in range(2):
        x = images().requires_grad_()
        network(x).square().sum().backward()
        gradients.append(x.grad)
        fold(network, dtype=torch.float32, frozen_only=True)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05, foreach=False),
    "fused SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, fused=True),
    "fused AdamW": lambda p: torch.optim.AdamW(p, lr=0.05, fused=True),
    "foreach": lambda p: torch.optim.SGD(p, lr=0.05, foreach=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("frozen_from", [0, 3])
def test_every_evaluation_sees_the_optimizers_last_step(network, optimizer, frozen_from):
    network.block[:frozen_from].requires_grad_(False)
    step = OPTIMIZERS[optimizer]([p for p in network.parameters() if p.requires_grad])
    with folded(network, dtype=torch.float32, frozen_only=True):
        for _ in range(3):
            step.zero_grad()
            network(images()).square().mean().backward()
            before = _evaluated(network)
            step.step()
            assert not torch.allclose(_evaluated(network), before)


@torch.no_grad()
def _evaluated(network):
    """As an evaluation gives it, and as a hook of the trainer does; both are right."""
    expected = network.block(images())
    torch.testing.assert_close(network(images()), expected, **CLOSE)
    with folded(network, dtype=torch.float32):
        torch.testing.assert_close(network(images()), expected, **CLOSE)
    return expected


@pytest.mark.parametrize("otherwise", ["another precision", "a hook", "plain paths"])
def test_training_outside_a_fold_leaves_no_copy(network, otherwise):
    fold(network, dtype=torch.float32)
    with torch.no_grad():
        before = network(images())
    step = torch.optim.SGD(network.parameters(), lr=0.5)
    with ExitStack() as stack:
        if otherwise == "another precision":
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        elif otherwise == "plain paths":
            stack.enter_context(plain_paths())
        else:
            handle = network.block[0].register_forward_hook(lambda *_: None)
            stack.callback(handle.remove)
        network(images()).float().square().mean().backward()
    step.step()
    with torch.no_grad():
        torch.testing.assert_close(network(images()), network.block(images()), **CLOSE)
        assert not torch.allclose(network(images()), before)


@torch.no_grad()
def test_weights_written_through_data_show_after_an_evaluation(network):
    network.requires_grad_(False)
    with folded(network, dtype=torch.float32, frozen_only=True):
        first = network(images())
        network.block[0].weight.data.mul_(2)
        with folded(network, dtype=torch.float32):
            torch.testing.assert_close(network(images()), network.block(images()), **CLOSE)
        torch.testing.assert_close(network(images()), network.block(images()), **CLOSE)
    assert not torch.allclose(network(images()), first)


@torch.no_grad()
@pytest.mark.parametrize("part", ["", "block", "block.2", "block.2.1"])
@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights_are_those_of_the_next_call(network, part, assign):
    other = Network()
    fold(network, dtype=torch.float32)
    first = network(images())
    loaded = other.get_submodule(part).state_dict()
    network.get_submodule(part).load_state_dict(loaded, assign=assign)
    torch.testing.assert_close(network(images()), network.block(images()), **CLOSE)
    assert not torch.allclose(network(images()), first)


@pytest.mark.parametrize("trains", ["statistics", "weights", "dropout"])
def test_what_trains_is_never_called_through_a_copy(network, trains, made):
    network.block.append(nn.Dropout(0.5)).eval()
    fold(network, dtype=torch.float32)
    with torch.no_grad():
        network(images())
    if trains != "weights":
        network.requires_grad_(False).block[1 if trains == "statistics" else 4].train()
    before = network.block[1].running_mean.clone()
    y = network(images())
    assert y.requires_grad == (trains == "weights")
    assert torch.equal(before, network.block[1].running_mean) == (trains != "statistics")
    assert (y == 0).any() == (trains == "dropout")
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images()), network.block(images()), **CLOSE)
    assert made.count(network.block) == 2


def test_of_a_sequence_the_parts_that_do_not_train_are_folded(network, made):
    network.block[:3].requires_grad_(False)
    fold(network, dtype=torch.float32, frozen_only=True)
    y = network(images())
    assert y.requires_grad
    assert made == [network.block[0], network.block[1], network.block[2]]
    torch.testing.assert_close(y, network.block(images()), **CLOSE)


@torch.no_grad()
def test_copies_have_the_precision_that_was_asked_for(network, made):
    exact = network(images())
    fold(network, dtype=torch.bfloat16)
    assert torch.equal(network(images()), exact)
    assert not made
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            rounded = network(images())
    assert len(made) == 1
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.03, atol=0.05)
    network.double()
    assert network(images(dtype=torch.float64)).dtype == torch.float64


def test_what_inference_mode_leaves_behind_serves_in_training(network):
    network.requires_grad_(False)
    fold(network, dtype=torch.float32, frozen_only=True)
    with torch.inference_mode():
        expected = network(images())
    x = images().requires_grad_()
    y = network(x)
    y.sum().backward()
    assert torch.equal(y, expected)
    assert x.grad.any()


@torch.no_grad()
def test_hooks_see_the_modules_own_layers(network):
    seen = []
    fold(network, dtype=torch.float32)
    network(images())
    handle = network.block[2][0].register_forward_hook(lambda *_: seen.append(1))
    network(images())
    handle.remove()
    network(images())
    assert seen == [1]


@torch.no_grad()
def test_copies_of_a_folded_model_are_plain(network, made):
    fold(network, dtype=torch.float32)
    compile_folded(network, "eager")
    network(images())
    made.clear()
    for copy in (deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copy.folds.plan is None
        assert copy.folds.compiler == "eager"
        assert torch.equal(copy(images()), network.block(images()))
        fold(copy, dtype=torch.float32)
        copy(images())
        copy.load_state_dict(Network().state_dict())
        torch.testing.assert_close(copy(images()), copy.block(images()), **CLOSE)
    assert network.block not in made


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_trace_shows_the_modules_own_weights(network):
    fold(network, dtype=torch.float32)
    traced = torch.jit.trace(network, images(), check_trace=False)
    before = traced(images())
    network.block[3].bias.add_(1)  # constants would not change
    torch.testing.assert_close(traced(images()), before + 1)
