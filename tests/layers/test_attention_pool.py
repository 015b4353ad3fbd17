"""Attention pooling of one query is that of all, of which one is kept."""

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d

from langdg_d2.layers import AttentionPool


@pytest.fixture(params=[(7, 32, 4, 10), (3, 12, 1, 12), (2, 6, 6, 1)])
def pool(request):
    side, channels, heads, output = request.param
    torch.manual_seed(0)
    module = AttentionPool2d(side, channels, heads, output).double()
    for bias in (module.q_proj.bias, module.k_proj.bias, module.v_proj.bias):
        torch.nn.init.normal_(bias)
    return module


def features(pool, *, images=3):
    side = round((len(pool.positional_embedding) - 1) ** 0.5)
    shape = (images, pool.positional_embedding.shape[1], side, side)
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_embedding_and_all_gradients_are_those_of_the_module(pool, layout):
    x = features(pool)
    parameters = [p for name, p in pool.named_parameters() if name != "k_proj.bias"]
    outcomes = []
    for function in (pool, AttentionPool(pool)):
        embedding = function(x.to(memory_format=layout))
        gradients = torch.autograd.grad(embedding.square().sum(), [x, *parameters])
        outcomes.append([embedding, *gradients])
    torch.testing.assert_close(*outcomes)


def test_parameters_have_clips_names_and_order(pool):
    assert list(AttentionPool(pool).state_dict()) == list(pool.state_dict())


def test_lower_precision_stays_close(pool):
    pool, x = pool.float(), features(pool).float()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = AttentionPool(pool)(x)
    torch.testing.assert_close(embedding.float(), pool(x), rtol=0.05, atol=0.05)
