"""Plain heads compute what they say, and fit every tower."""

import json

import pytest
import timm
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from torch import nn

from langdg_d2.modeling import (
    ClipConvNeXt,
    ClipResNet,
    DeconvHead,
    DeconvPyramid,
    LangDGSegmentor,
    LinearHead,
    PixelCrossEntropy,
    SegFormerHead,
    VitTower,
    load_image_tower,
)
from langdg_d2.structures import LabelSpace

SHAPES = {
    "res2": ShapeSpec(channels=8, stride=4),
    "res4": ShapeSpec(channels=12, stride=16),
    "res5": ShapeSpec(channels=16, stride=32),
}
TOWERS = ("vit", "vit with a pyramid", "convnext", "resnet")


def heads(shapes: dict[str, ShapeSpec]) -> dict[str, nn.Module]:
    """One of each kind, for five classes."""
    fixed = {"input_shape": shapes, "num_classes": 5}
    coarsest = max(shapes, key=lambda name: (shapes[name].stride, name))
    levels = [name for name in shapes if name.startswith("res")]
    wide = {"channels": 8, "dropout": 0.0}
    return {
        "linear": LinearHead(**fixed, in_feature=coarsest),
        "deconv": DeconvHead(**fixed, in_feature=coarsest, **wide),
        "segformer": SegFormerHead(**fixed, in_features=levels, **wide),
    }


@pytest.fixture
def features() -> dict[str, torch.Tensor]:
    return {
        name: torch.randn(2, shape.channels, 64 // shape.stride, 96 // shape.stride)
        for name, shape in SHAPES.items()
    }


def test_linear_head_is_norm_and_matrix(features):
    head = LinearHead(input_shape=SHAPES, in_feature="res4", num_classes=5).eval()
    nn.init.uniform_(head.norm.running_var, 0.5, 2)
    x = features["res4"] / (head.norm.running_var + head.norm.eps).sqrt().view(1, -1, 1, 1)
    expected = torch.einsum("kc,nchw->nkhw", head.predict.weight[..., 0, 0], x)
    expected += head.predict.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(head(features), expected)


def test_deconvolutions_double_sizes_and_halve_channels(features):
    head = heads(SHAPES)["deconv"].eval()
    assert [one.out_channels for one in head.upsample if hasattr(one, "out_channels")] == [4, 2]
    assert head(features).shape == (2, 5, 8, 12)


def test_segformer_fuses_resized_projections(features):
    head = heads(SHAPES)["segformer"].eval()
    maps = [
        F.interpolate(head.project[name](features[name]), (16, 24), mode="bilinear")
        for name in SHAPES
    ]
    expected = head.predict(head.fuse(torch.cat(maps, dim=1)))
    torch.testing.assert_close(head(features), expected)
    assert expected.shape == (2, 5, 16, 24)


@pytest.fixture
def backbone(request, tiny_tower, tmp_path):
    """A tiny tower of the kind that the parameter names."""
    if request.param == "resnet":
        return ClipResNet(tower=tiny_tower, output_stride=16, trainable=["layer4"])
    if request.param == "convnext":
        path = tmp_path / "tiny-convnext-for-heads.json"
        text = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
        vision = {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"}
        path.write_text(json.dumps({"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}))
        tower = load_image_tower(name=str(path), weights=None)
        return ClipConvNeXt(tower=tower, trainable=["stages.3"])
    pyramid = DeconvPyramid(channels=64) if "pyramid" in request.param else None
    tower = timm.create_model("test_vit", num_classes=0)
    return VitTower(tower=tower, taps=[1, 3, 4, 5], trainable=["blocks.-1"], pyramid=pyramid)


@pytest.mark.parametrize("kind", ["linear", "deconv", "segformer"])
@pytest.mark.parametrize("backbone", TOWERS, indirect=True)
def test_every_head_trains_and_predicts_on_every_tower(kind, backbone):
    model = LangDGSegmentor(
        backbone=backbone,
        sem_seg_head=heads(backbone.output_shape())[kind],
        criterion=PixelCrossEntropy(ignore_label=255, label_smoothing=0.0),
        pixel_mean=[120.0] * 3,
        pixel_std=[60.0] * 3,
        classes=LabelSpace(["a", "b", "c", "d", "e"]),
    ).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    image = torch.randint(256, (3, 72, 100), dtype=torch.uint8)
    labels = torch.randint(5, (72, 100), dtype=torch.uint8)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = model([{"image": image, "sem_seg": labels}] * 2)["loss_sem_seg"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert all(p.grad is not None for p in model.sem_seg_head.parameters())
    predicted = model.eval()([{"image": image, "height": 36, "width": 50}])[0]["sem_seg"]
    assert predicted.shape == (5, 36, 50)
