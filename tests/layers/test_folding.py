"""Folding is an exact rewriting between two points, and nothing is left of it after."""

import io
import pickle
from contextlib import ExitStack
from copy import deepcopy

import pytest
import torch
from torch import nn

from langdg_d2.layers import folding
from langdg_d2.layers.folding import fold

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def make_network():
    """Convolutions with and without BatchNorm behind them, whose statistics are anything."""
    convolution = nn.Conv2d(6, 4, 1, bias=False)
    inner = nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), inner, nn.Conv2d(4, 2, 1))
    for norm in (network[1], inner[1]):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 1.5)
    return network


@pytest.fixture
def network():
    return make_network().eval()


@pytest.fixture
def fused(monkeypatch):
    """The weights that were fused."""
    weights, fuse = [], folding.fuse_conv_bn_weights

    def recorded(weight, *args):
        weights.append(weight)
        return fuse(weight, *args)

    monkeypatch.setattr(folding, "fuse_conv_bn_weights", recorded)
    return weights


def images(**kwargs):
    return torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0)).to(**kwargs)


def plain(network):
    """What another network of the same weights gives, that is not folded."""
    other = make_network().eval()
    other.load_state_dict(network.state_dict())
    return other(images())


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class DomainNorms(nn.Module):
    """A convolution that two norms share."""

    def __init__(self):
        super().__init__()
        conv = nn.Conv2d(3, 3, 1)
        self.domains = nn.ModuleList(nn.Sequential(conv, nn.BatchNorm2d(3)) for _ in range(2))
        nn.init.uniform_(self.domains[0][1].running_mean)

    def forward(self, x):
        return torch.cat([domain(x) for domain in self.domains])


@pytest.mark.parametrize(
    "network",
    [Residual(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), DomainNorms()],
    ids=["own forward", "shared convolution"],
)
@torch.no_grad()
def test_modules_of_unknown_order_are_left_alone(network):
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
    expected = network(images())
    with fold(network):
        torch.testing.assert_close(network(images()), expected, **CLOSE)


@torch.no_grad()
def test_only_between_its_points_is_a_model_folded(network, fused):
    expected = network(images())
    assert not fused
    with fold(network):
        for _ in range(3):
            torch.testing.assert_close(network(images()), expected, **CLOSE)
        assert fused == [network[0].weight, network[2][0].weight]
        assert network[1](images().new_full((1, 6, 1, 1), 3.0)).eq(3.0).all()
    assert torch.equal(network(images()), expected)
    assert len(fused) == 2


def test_gradients_of_inputs_are_the_same(network):
    network.requires_grad_(False)
    gradients = []
    for _ in range(2):
        x = images().requires_grad_()
        network(x).square().sum().backward()
        gradients.append(x.grad)
        fold(network)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("otherwise", ["another precision", "a hook"])
def test_after_training_in_a_fold_weights_are_fused_anew(network, otherwise):
    fold(network)
    with torch.no_grad():
        before = network(images())
    step = torch.optim.SGD(network.parameters(), lr=0.5)
    with ExitStack() as stack:
        if otherwise == "another precision":
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        else:
            handle = network[0].register_forward_hook(lambda *_: None)
            stack.callback(handle.remove)
        network(images()).float().square().mean().backward()
    step.step()
    with torch.no_grad():
        torch.testing.assert_close(network(images()), plain(network), **CLOSE)
        assert not torch.allclose(network(images()), before)


@torch.no_grad()
@pytest.mark.parametrize("part", ["", "0", "2", "2.1"])
@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights_are_those_of_the_next_call(network, part, assign):
    other = make_network()
    fold(network)
    first = network(images())
    loaded = other.get_submodule(part).state_dict()
    network.get_submodule(part).load_state_dict(loaded, assign=assign)
    torch.testing.assert_close(network(images()), plain(network), **CLOSE)
    assert not torch.allclose(network(images()), first)


@torch.no_grad()
def test_a_checkpoint_saved_while_folded_has_the_plain_weights(network):
    before = deepcopy(network.state_dict())
    file = io.BytesIO()
    with fold(network):
        network(images())
        torch.save(network.state_dict(), file)
    file.seek(0)
    saved = torch.load(file)
    assert list(saved) == list(before)
    torch.testing.assert_close(saved, before, rtol=0, atol=0)


def test_folding_anew_takes_the_place_of_the_first(network):
    fold(network)
    with torch.no_grad():
        first = network(images())
        network[0].weight *= 2
        fold(network)
        assert not torch.allclose(network(images()), first)
        torch.testing.assert_close(network(images()), plain(network), **CLOSE)


@pytest.mark.parametrize("trains", ["statistics", "weights", "dropout"])
def test_what_trains_is_computed_plainly(network, trains):
    network.append(nn.Dropout(0.5)).eval()
    fold(network)
    with torch.no_grad():
        network(images())
    if trains != "weights":
        network.requires_grad_(False)[1 if trains == "statistics" else 4].train()
    before = network[1].running_mean.clone()
    y = network(images())
    assert y.requires_grad == (trains == "weights")
    assert torch.equal(before, network[1].running_mean) == (trains != "statistics")
    assert (y == 0).any() == (trains == "dropout")
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images()), plain(network), **CLOSE)


def test_beside_trained_layers_frozen_ones_are_folded(network, fused):
    network[:3].requires_grad_(False)
    fold(network)
    network[3].requires_grad_()
    y = network(images())
    assert y.requires_grad
    assert fused == [network[0].weight, network[2][0].weight]
    torch.testing.assert_close(y, plain(network), **CLOSE)


@torch.no_grad()
def test_weights_are_fused_for_the_precision_of_the_call(network, fused):
    exact = network(images())
    fold(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            rounded = network(images())
    assert len(fused) == 2
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.03, atol=0.05)
    torch.testing.assert_close(network(images()), exact, **CLOSE)
    network.double()
    assert network(images(dtype=torch.float64)).dtype == torch.float64


def test_weights_fused_in_inference_mode_give_gradients(network):
    network.requires_grad_(False)
    fold(network)
    with torch.inference_mode():
        expected = network(images())
    x = images().requires_grad_()
    y = network(x)
    y.sum().backward()
    assert torch.equal(y, expected)
    assert x.grad.any()


@torch.no_grad()
@pytest.mark.parametrize("place", [0, 1])
def test_hooks_see_what_the_plain_modules_compute(network, place):
    seen = []
    expected = nn.Sequential(*network[: place + 1])(images())
    fold(network)
    network(images())
    handle = network[place].register_forward_hook(lambda _, inputs, output: seen.append(output))
    network(images())
    handle.remove()
    network(images())
    (output,) = seen
    torch.testing.assert_close(output, expected, rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("copied", [deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_a_copy_of_a_folded_model_computes_with_its_own_weights(network, copied):
    expected = network(images())
    undo = fold(network)
    network(images())
    copy = copied(network)
    torch.testing.assert_close(copy(images()), expected, **CLOSE)
    copy.load_state_dict(make_network().state_dict())
    torch.testing.assert_close(copy(images()), plain(copy), **CLOSE)
    torch.testing.assert_close(network(images()), expected, **CLOSE)
    undo.close()
    assert torch.equal(network(images()), expected)


def test_modules_of_unknown_order_are_not_folded(fused):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(self.conv(x).relu())

    odd = Odd().eval().requires_grad_(False)
    expected = odd(images())
    with fold(odd):
        assert torch.equal(odd(images()), expected)
    with fold(lambda x: x):  # a model need not be a module
        assert not fused


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_trace_shows_the_modules_own_weights(network):
    fold(network)
    traced = torch.jit.trace(network, images(), check_trace=False)
    before = traced(images())
    network[3].bias.add_(1)  # constants would not change
    torch.testing.assert_close(traced(images()), before + 1)
    exported = torch.export.export(network, (images(),), strict=False)
    assert "batch_norm" in str(exported.graph)
