"""Synchronised BatchNorm: what is replaced; that processes train as one is tested beside."""

from contextlib import nullcontext

import pytest
import torch
from detectron2.layers import NaiveSyncBatchNorm, ShapeSpec
from torch import nn

from langdg_d2.engine import distribute
from langdg_d2.engine.trainer import synchronize_batch_norm
from langdg_d2.modeling import DeepLabV3PlusHead, LinearHead
from langdg_d2.utils.errors import LangDGError


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


@pytest.mark.parametrize(("head", "fits"), [(DeepLabV3PlusHead, False), (LinearHead, True)])
def test_single_images_need_a_head_without_pooled_norms(head, fits):
    shapes = {"res2": ShapeSpec(channels=4, stride=4), "res5": ShapeSpec(channels=4, stride=16)}
    options = {"input_shape": shapes, "num_classes": 3}
    if head is LinearHead:
        options["in_feature"] = "res5"
    else:
        options |= {"low_level": "res2", "high_level": "res5", "low_level_channels": 4}
        options |= {"channels": 4, "atrous_rates": [1, 2, 3], "dropout": 0.0}
    model = nn.Module()
    model.sem_seg_head = head(**options)
    features = {
        name: torch.rand(1, 4, 64 // s.stride, 64 // s.stride) for name, s in shapes.items()
    }
    with nullcontext() if fits else pytest.raises(ValueError, match="more than 1 value"):
        model.sem_seg_head.train()(features)
    with nullcontext() if fits else pytest.raises(LangDGError, match="total_batch_size is 1"):
        assert distribute(model, total_batch_size=1) is model


def test_one_process_keeps_its_model():
    model = network()
    assert distribute(model, find_unused_parameters=False) is model
    assert type(model[1]) is nn.BatchNorm2d
