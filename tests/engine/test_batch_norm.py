"""Synchronised BatchNorm: what is replaced; that processes train as one is tested beside."""

import torch
from detectron2.layers import NaiveSyncBatchNorm
from torch import nn

from langdg_d2.engine import distribute
from langdg_d2.engine.trainer import synchronize_batch_norm


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)), nn.ReLU()
    )
    model[2].requires_grad_(False).eval()
    return model


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
