"""Registries, backbones and postprocessing, on whichever Detectron2 is installed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    Backbone,
    build_backbone,
    build_model,
    build_sem_seg_head,
)
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.solver import LRMultiplier, WarmupParamScheduler, get_default_optimizer_params
from fvcore.common.param_scheduler import CosineParamScheduler, LinearParamScheduler
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F


class TinyBackbone(Backbone):
    """One feature map at stride 4."""

    def __init__(self, cfg: Any, input_shape: ShapeSpec) -> None:
        super().__init__()
        self.input_shape = input_shape
        self._out_features = ["res2"]
        self._out_feature_channels = {"res2": 8, "unused": 1}
        self._out_feature_strides = {"res2": 4, "unused": 1}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"res2": x[:, :, ::4, ::4]}


class TinyHead(nn.Module):
    """Remembers the shapes it is built for."""

    def __init__(self, cfg: Any, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__()
        self.input_shape = input_shape


class TinyModel(nn.Module):
    """A backbone and a head."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.backbone = build_backbone(cfg)
        self.head = build_sem_seg_head(cfg, self.backbone.output_shape())
        self.scale = nn.Parameter(torch.ones(1))


def not_a_backbone(cfg: Any, input_shape: ShapeSpec) -> nn.Module:
    """Registered by mistake."""
    return nn.ReLU()


@pytest.fixture
def registered() -> Iterator[None]:
    """Enter the tiny parts in the registries and take them out again."""
    entries = [
        (BACKBONE_REGISTRY, TinyBackbone),
        (BACKBONE_REGISTRY, not_a_backbone),
        (SEM_SEG_HEADS_REGISTRY, TinyHead),
        (META_ARCH_REGISTRY, TinyModel),
    ]
    for registry, entry in entries:
        registry.register(entry)
    yield
    for registry, entry in entries:
        del registry._obj_map[entry.__name__]


CFG = OmegaConf.create(
    {
        "MODEL": {
            "META_ARCHITECTURE": "TinyModel",
            "BACKBONE": {"NAME": "TinyBackbone"},
            "SEM_SEG_HEAD": {"NAME": "TinyHead"},
            "PIXEL_MEAN": [0.0, 0.0, 0.0],
            "DEVICE": "meta",
        }
    }
)


@pytest.mark.usefixtures("registered")
def test_a_model_is_built_from_its_registered_parts_on_the_device() -> None:
    model = build_model(CFG)
    assert isinstance(model, TinyModel)
    assert model.scale.device.type == "meta"
    assert model.backbone.input_shape == ShapeSpec(channels=3)
    assert model.head.input_shape == {"res2": ShapeSpec(channels=8, stride=4)}


@pytest.mark.usefixtures("registered")
def test_a_backbone_takes_the_input_shape_given_and_must_be_a_backbone() -> None:
    assert build_backbone(CFG, ShapeSpec(channels=4)).input_shape.channels == 4
    cfg = OmegaConf.merge(CFG, {"MODEL": {"BACKBONE": {"NAME": "not_a_backbone"}}})
    with pytest.raises(AssertionError):
        build_backbone(cfg)


@pytest.mark.usefixtures("registered")
def test_registries_refuse_second_entries_and_name_unknown_ones() -> None:
    with pytest.raises(AssertionError, match=r"TinyModel.*META_ARCH"):
        META_ARCH_REGISTRY.register(TinyModel)
    with pytest.raises(KeyError, match=r"Absent.*SEM_SEG_HEADS"):
        SEM_SEG_HEADS_REGISTRY.get("Absent")
    assert "TinyBackbone" in BACKBONE_REGISTRY
    assert "BACKBONE" in repr(BACKBONE_REGISTRY)


def test_a_backbone_has_no_constraints_by_default_and_must_define_forward() -> None:
    backbone = TinyBackbone(None, ShapeSpec())
    assert backbone.size_divisibility == 0
    assert backbone.padding_constraints == {}
    assert backbone.output_shape() == {"res2": ShapeSpec(channels=8, stride=4)}
    with pytest.raises(TypeError, match="abstract"):
        Backbone()


def test_scores_are_cut_to_the_image_and_resized_bilinearly() -> None:
    scores = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    result = sem_seg_postprocess(scores, (5, 6), 10, 9)
    expected = F.interpolate(scores[None, :, :5, :6], (10, 9), mode="bilinear")[0]
    assert torch.equal(result, expected)
    assert torch.equal(sem_seg_postprocess(scores, (5, 6), 5, 6), scores[:, :5, :6])


# solver


def settings(groups: list[dict[str, Any]], model: nn.Module) -> dict[str, dict[str, float]]:
    """The settings of each parameter by its full name."""
    by_id = {
        id(parameter): {key: value for key, value in group.items() if key != "params"}
        for group in groups
        for parameter in group["params"]
    }
    return {name: by_id[id(p)] for name, p in model.named_parameters() if id(p) in by_id}


@pytest.fixture
def model() -> nn.Module:
    """A convolution, a norm, and the same convolution again."""
    conv = nn.Conv2d(2, 2, 1)
    return nn.ModuleDict({"body": conv, "norm": nn.BatchNorm2d(2), "shared": conv})


def test_without_settings_all_trainable_parameters_are_one_group(model: nn.Module) -> None:
    model["norm"].bias.requires_grad_(False)
    (group,) = get_default_optimizer_params(model)
    assert list(group) == ["params"]
    expected = [model["body"].weight, model["body"].bias, model["norm"].weight]
    assert [id(parameter) for parameter in group["params"]] == [id(p) for p in expected]


def test_settings_by_kind_of_parameter(model: nn.Module) -> None:
    groups = get_default_optimizer_params(
        model,
        base_lr=1.0,
        weight_decay=0.1,
        weight_decay_norm=0.0,
        bias_lr_factor=2.0,
        weight_decay_bias=0.5,
    )
    assert settings(groups, model) == {
        "body.weight": {"lr": 1.0, "weight_decay": 0.1},
        "body.bias": {"lr": 2.0, "weight_decay": 0.5},
        "norm.weight": {"lr": 1.0, "weight_decay": 0.0},
        "norm.bias": {"lr": 2.0, "weight_decay": 0.5},
    }
    assert len(groups) == 3


def test_a_rate_per_full_name_and_overrides_per_last_name(model: nn.Module) -> None:
    groups = get_default_optimizer_params(
        model,
        base_lr=1.0,
        lr_factor_func=lambda name: 0.1 if name.startswith("body") else 1.0,
        overrides={"bias": {"lr": 3.0, "momentum": 0.5}},
    )
    assert settings(groups, model) == {
        "body.weight": {"lr": 0.1},
        "body.bias": {"lr": 3.0, "momentum": 0.5},
        "norm.weight": {"lr": 1.0},
        "norm.bias": {"lr": 3.0, "momentum": 0.5},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"bias_lr_factor": 2.0},
        {"lr_factor_func": len},
        {"weight_decay_bias": 0.0, "overrides": {"bias": {"lr": 1.0}}},
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    model: nn.Module, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"requires base_lr|bias"):
        get_default_optimizer_params(model, **arguments)


def test_the_multiplier_scales_all_rates_by_the_schedule() -> None:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": [parameters[0]], "lr": 1.0}, {"params": [parameters[1]], "lr": 0.1}]
    )
    schedule = LRMultiplier(optimizer, LinearParamScheduler(1.0, 0.0), max_iter=4)
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    expected = [(1.0, 0.1), (0.75, 0.075), (0.5, 0.05), (0.25, 0.025)]
    assert [pytest.approx(pair) for pair in expected] == seen
    assert schedule.state_dict() == {"base_lrs": [1.0, 0.1], "last_epoch": 4}
    with pytest.raises(ValueError, match="ParamScheduler"):
        LRMultiplier(optimizer, lambda where: 1.0, max_iter=4)


def test_warmup_rises_to_the_schedule() -> None:
    cosine = CosineParamScheduler(1.0, 0.0)
    warm = WarmupParamScheduler(cosine, 0.1, 0.2)
    assert warm(0.0) == pytest.approx(0.1)
    assert warm(0.1) == pytest.approx((0.1 + cosine(0.2)) / 2)
    assert warm(0.6) == pytest.approx(cosine(0.6))
    constant = WarmupParamScheduler(cosine, 0.1, 0.2, warmup_method="constant")
    assert constant(0.19) == pytest.approx(0.1)
    rescaled = WarmupParamScheduler(cosine, 0.1, 0.2, rescale_interval=True)
    assert rescaled(0.6) == pytest.approx(cosine(0.5))
    assert rescaled(0.1) == pytest.approx(0.55)
    with pytest.raises(ValueError, match="quadratic"):
        WarmupParamScheduler(cosine, 0.1, 0.2, warmup_method="quadratic")
