"""Each faster path can be left out alone, for the time of a block."""

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d

from langdg_d2.benchmarking import without
from langdg_d2.layers import AttentionPool, UpsampledConv2d, fold
from langdg_d2.utils.errors import LangDGError


def test_without_a_path_torch_computes_itself():
    x = torch.rand(2, 6, 9, 9)
    upsampled = UpsampledConv2d(9, 4, 3, padding=1, bias=False)
    pool = AttentionPool2d(9, 6, 2, 5)
    usual = torch.nn.functional.conv2d
    both = torch.cat(
        [
            torch.ones(2, 3, 18, 18),
            torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"),
        ],
        dim=1,
    )
    with without(["upsampled_conv"]):
        assert torch.equal(upsampled((both[:, :3], x)), usual(both, upsampled.weight, padding=1))
    with without(["attention_pool"]):
        assert torch.equal(AttentionPool(pool)(x), pool(x))


@torch.no_grad()
def test_without_folding_a_fold_changes_nothing():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    x = torch.ones(1, 4, 2, 2)
    with without(["folding"]), fold(network):
        assert not torch.equal(network[1](x), x)
    with fold(network):
        assert torch.equal(network[1](x), x)


def test_unknown_paths_are_refused_with_those_there_are():
    with (
        pytest.raises(LangDGError, match=r"\['sleep'\] do not exist; there are \['folding', "),
        without(["sleep"]),
    ):
        pass
