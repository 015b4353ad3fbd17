"""Registries, backbones and postprocessing, on whichever Detectron2 is installed."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    Backbone,
    build_model,
)
from detectron2.modeling.postprocessing import sem_seg_postprocess
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F


class TinyBackbone(Backbone):
    """One feature map at stride 4."""

    def __init__(self, cfg, input_shape):
        super().__init__()
        self.input_shape = input_shape
        self._out_features = ["res2"]
        self._out_feature_channels = {"res2": 8, "unused": 1}
        self._out_feature_strides = {"res2": 4, "unused": 1}

    def forward(self, x):
        return {"res2": x[:, :, ::4, ::4]}


class TinyModel(nn.Module):
    """One parameter."""

    def __init__(self, cfg):
        super().__init__()
        self.scale = nn.Parameter(torch.full((), cfg.SCALE))


@pytest.fixture
def registered():
    """Enter the tiny model in its registry and take it out again."""
    META_ARCH_REGISTRY.register(TinyModel)
    yield
    del META_ARCH_REGISTRY._obj_map["TinyModel"]


@pytest.mark.usefixtures("registered")
def test_a_model_is_built_by_name_on_the_device():
    cfg = OmegaConf.create({"MODEL": {"META_ARCHITECTURE": "TinyModel", "DEVICE": "meta"}})
    model = build_model(OmegaConf.merge(cfg, {"SCALE": 2.0}))
    assert isinstance(model, TinyModel)
    assert model.scale.device.type == "meta"


def test_parts_are_registered_by_name():
    for registry in (BACKBONE_REGISTRY, META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY):
        with pytest.raises(KeyError, match="Absent"):
            registry.get("Absent")


def test_a_backbone_has_no_constraints_by_default_and_must_define_forward():
    backbone = TinyBackbone(None, ShapeSpec())
    assert backbone.size_divisibility == 0
    assert backbone.padding_constraints == {}
    assert backbone.output_shape() == {"res2": ShapeSpec(channels=8, stride=4)}
    with pytest.raises(TypeError, match="abstract"):
        Backbone()


def test_scores_are_cut_to_the_image_and_resized_bilinearly():
    scores = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    result = sem_seg_postprocess(scores, (5, 6), 10, 9)
    expected = F.interpolate(scores[None, :, :5, :6], (10, 9), mode="bilinear")[0]
    assert torch.equal(result, expected)
    assert torch.equal(sem_seg_postprocess(scores, (5, 6), 5, 6), scores[:, :5, :6])
