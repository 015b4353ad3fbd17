"""The choice of an inference variant, and a whole segmentor evaluated in it."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from langdg_d2.evaluation import (
    MultiScaleInference,
    SlidingWindowInference,
    StreamingSemSegEvaluator,
    build_inference,
    evaluate_domains,
    inference_name,
)
from langdg_d2.modeling import (
    ClipResNet,
    DeepLabV3PlusHead,
    LangDGSegmentor,
    PixelCrossEntropy,
)
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

NAMES = ["road", "sky", "car"]


@pytest.fixture
def segmentor(tiny_tower: nn.Module) -> LangDGSegmentor:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))
    head = DeepLabV3PlusHead(
        input_shape=backbone.output_shape(),
        low_level="res2",
        high_level="res5",
        num_classes=len(NAMES),
        low_level_channels=4,
        channels=8,
        atrous_rates=(1, 2),
        dropout=0.0,
        norm="BN",
    )
    return LangDGSegmentor(
        backbone=backbone,
        sem_seg_head=head,
        criterion=PixelCrossEntropy(ignore_label=255, label_smoothing=0.0),
        pixel_mean=(120.0,) * 3,
        pixel_std=(60.0,) * 3,
        classes=LabelSpace(NAMES),
    )


def test_whole_images_at_one_scale_need_no_wrapper(segmentor):
    assert build_inference(segmentor) is segmentor
    assert build_inference(segmentor, scales=OmegaConf.create([1.0])) is segmentor


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({}, "whole image"),
        ({"scales": [0.5]}, "whole image, scale 0.5"),
        ({"scales": [1.0, 0.5]}, "whole image, scales 1 and 0.5"),
        ({"scales": [0.5, 1, 1.25], "flip": True}, "whole image, scales 0.5, 1 and 1.25, flip"),
        ({"window": [768, 769]}, "windows 768x769 every 384x384"),
        (
            {"window": [768, 768], "stride": [512, 256], "flip": True},
            "windows 768x768 every 512x256, scale 1, flip",
        ),
        ({"precision": "bfloat16"}, "whole image, bfloat16"),
        (
            {"precision": "bfloat16", "window": [768, 768], "scales": [2]},
            "windows 768x768 every 384x384, bfloat16, scale 2",
        ),
    ],
)
def test_a_variant_is_named_in_words(segmentor, choice, name):
    assert inference_name(build_inference(segmentor, **OmegaConf.create(choice))) == name


def test_windows_slide_inside_the_scales(segmentor):
    model = build_inference(segmentor, scales=[1, 0.5], window=[32, 32], stride=[16, 16])
    assert isinstance(model, MultiScaleInference)
    assert isinstance(model.model, SlidingWindowInference)
    assert model.model.model is segmentor


def test_reduced_precision_rounds_and_leaves_weights_and_logits_in_single_precision(segmentor):
    inputs = [{"image": torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8)}]
    variant = build_inference(segmentor, precision="bfloat16").eval()
    rounded, exact = (model(inputs)[0]["sem_seg"] for model in (variant, segmentor.eval()))
    assert rounded.dtype == torch.float32
    assert {p.dtype for p in variant.parameters()} == {torch.float32}
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).abs().mean() < 2**-6 * exact.std()


def test_a_precision_that_there_is_not_is_refused(segmentor):
    with pytest.raises(LangDGError, match="'half', expected one of float32, bfloat16, float16"):
        build_inference(segmentor, precision="half")


def test_a_stride_without_a_window_is_refused(segmentor):
    with pytest.raises(LangDGError, match=r"stride \[8, 8\] without a window"):
        build_inference(segmentor, stride=[8, 8])


@pytest.mark.parametrize("size", [(48, 64), (51, 77)])
def test_a_segmentor_is_scored_in_a_variant_and_keeps_its_modes(segmentor, size):
    segmentor.train()
    modes = [module.training for module in segmentor.modules()]
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    variant = build_inference(segmentor, scales=[1.0, 0.5], flip=True, window=[32, 48])
    with torch.no_grad():
        predicted = variant.eval()([{"image": image}])[0]["sem_seg"]
        plain = segmentor([{"image": image}])[0]["sem_seg"]
    assert predicted.shape == plain.shape == (3, *size)
    assert not torch.allclose(predicted, plain, atol=1e-3)
    for module, mode in zip(segmentor.modules(), modes, strict=True):
        module.training = mode

    target = predicted.argmax(0)
    loader = [[{"file_name": "a", "image": image, "sem_seg": target}]]
    evaluator = StreamingSemSegEvaluator(dataset_name="a", class_names=NAMES, ignore_label=255)
    scores = evaluate_domains(variant, {"a": loader}, {"a": evaluator})["a"]["sem_seg"]
    assert scores["pixel_accuracy"] == 100
    assert [module.training for module in segmentor.modules()] == modes
