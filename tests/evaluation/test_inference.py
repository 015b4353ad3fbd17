"""Inference variants: scales, flips, windows and precision, against slow references."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from langdg_d2.evaluation import (
    MultiScaleInference,
    SlidingWindowInference,
    StreamingSemSegEvaluator,
    build_inference,
    evaluate_domains,
    inference_name,
)
from langdg_d2.evaluation.inference import windows
from langdg_d2.modeling import (
    ClipResNet,
    DeepLabV3PlusHead,
    LangDGSegmentor,
    PixelCrossEntropy,
)
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

NAMES = ["road", "sky", "car"]


class Convolution(nn.Module):
    """Logits from a pixel's neighbourhood, which a window cuts; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 5, padding=2)
        self.seen: list[list[dict[str, Any]]] = []

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        self.seen.append(list(batch))
        return [{"sem_seg": self.layer(image["image"].float()[None])[0]} for image in batch]


class Pointwise(nn.Module):
    """Integer logits of a pixel from its own colour."""

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        return [{"sem_seg": image["image"].float()[[1, 0]] * 3} for image in batch]


def picture(height: int = 21, width: int = 34) -> dict[str, Any]:
    return {"image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8)}


def logits(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    return model([inputs])[0]["sem_seg"].detach()


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with aligned corners, a row or a column at a time."""

    def stretch(line: np.ndarray, side: int) -> np.ndarray:
        return np.interp(np.linspace(0, len(line) - 1, side), np.arange(len(line)), line)

    tall = np.apply_along_axis(stretch, 1, x.double().numpy(), height)
    return torch.from_numpy(np.apply_along_axis(stretch, 2, tall, width))


@pytest.fixture
def model() -> Convolution:
    return Convolution().eval()


def test_scale_one_alone_is_the_model_bit_by_bit(model: Convolution) -> None:
    batch = [picture(), picture(13, 9)]
    outputs = MultiScaleInference(model=model, scales=[1.0])(batch)
    for output, inputs in zip(outputs, batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(model, inputs))
    assert [seen.keys() for seen in model.seen[0]] == [{"image"}, {"image"}]


@pytest.mark.parametrize("scale", [0.5, 0.75, 2.0])
def test_one_scale_is_resized_there_and_back(model: Convolution, scale: float) -> None:
    inputs = picture()
    small = resized(inputs["image"], int(21 * scale), int(34 * scale))
    expected = resized(logits(model, {"image": small}), 21, 34)
    output = logits(MultiScaleInference(model=model, scales=[scale]), inputs)
    assert torch.allclose(output.double(), expected, atol=1e-3)
    ((seen,),) = model.seen[-1:]
    assert seen["image"].shape[1:] == (seen["height"], seen["width"])


def test_sides_are_rounded_down(model: Convolution) -> None:
    logits(MultiScaleInference(model=model, scales=[0.5]), picture(21, 35))
    assert model.seen[0][0]["image"].shape == (3, 10, 17)


def test_logits_of_all_scales_are_averaged(model: Convolution) -> None:
    inputs = picture()
    each = [
        logits(MultiScaleInference(model=model, scales=[s]), inputs).double() for s in (1, 0.5, 2)
    ]
    output = logits(MultiScaleInference(model=model, scales=(1, 0.5, 2)), inputs)
    assert torch.allclose(output.double(), sum(each) / 3, atol=1e-3)
    assert not torch.allclose(each[0], each[1], atol=1)


@pytest.mark.parametrize("scales", [[1.0], [1.0, 0.5]])
def test_with_flips_the_mirrored_image_has_the_mirrored_logits(
    model: Convolution, scales: list[float]
) -> None:
    inputs = picture()
    mirrored = {"image": inputs["image"].flip(-1)}
    both = MultiScaleInference(model=model, scales=scales, flip=True)
    assert torch.allclose(logits(both, mirrored), logits(both, inputs).flip(-1), atol=1e-3)
    one = MultiScaleInference(model=model, scales=scales)
    mean = (logits(one, inputs) + logits(one, mirrored).flip(-1)) / 2
    assert torch.allclose(logits(both, inputs), mean, atol=1e-3)


def test_flips_change_nothing_for_a_model_that_sees_single_pixels() -> None:
    inputs = picture()
    assert torch.equal(
        logits(MultiScaleInference(model=Pointwise(), flip=True), inputs),
        logits(Pointwise(), inputs),
    )


def test_logits_have_the_wanted_size(model: Convolution) -> None:
    inputs = picture() | {"height": 40, "width": 50}
    output = logits(MultiScaleInference(model=model, scales=[0.5]), inputs)
    small = resized(inputs["image"], 10, 17)
    assert torch.allclose(
        output.double(), resized(logits(model, {"image": small}), 40, 50), atol=1e-3
    )


def test_inputs_and_the_models_own_tensors_stay_as_they_are() -> None:
    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = torch.rand(2, 21, 34)

        def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
            return [{"sem_seg": self.kept} for _ in batch]

    keeper, inputs = Keeper(), picture()
    kept, image = keeper.kept.clone(), inputs["image"].clone()
    MultiScaleInference(model=keeper, scales=[1, 1], flip=True)([inputs])
    assert torch.equal(keeper.kept, kept)
    assert torch.equal(inputs["image"], image)
    assert list(inputs) == ["image"]


@pytest.mark.parametrize("scales", [[], [1.0, 0.0], [-1]])
def test_scales_that_make_no_image_are_refused(model: Convolution, scales: list[float]) -> None:
    with pytest.raises(LangDGError, match="expected a list of factors above 0"):
        MultiScaleInference(model=model, scales=scales)


@pytest.mark.parametrize("side", [1, 7, 8, 9, 16, 21, 30])
@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 5), (8, 1), (1, 1), (40, 3)])
def test_windows_are_alike_a_stride_apart_and_cover_all(side: int, window: int, stride: int):
    spans = windows(side, window, stride)
    starts = [span.start for span in spans]
    assert {span.stop - span.start for span in spans} == {min(window, side)}
    assert {k for span in spans for k in range(span.start, span.stop)} == set(range(side))
    assert starts[0] == 0
    assert spans[-1].stop == side
    steps = [after - before for before, after in pairwise(starts)]
    assert all(step == stride for step in steps[:-1])
    assert all(0 < step <= stride for step in steps[-1:])


@pytest.mark.parametrize("stride", [(6, 8), (3, 5), (1, 8)])
def test_a_model_that_sees_single_pixels_gives_the_logits_of_the_whole_image(stride) -> None:
    inputs = picture()
    sliding = SlidingWindowInference(model=Pointwise(), window=(6, 8), stride=stride)
    assert torch.equal(logits(sliding, inputs), logits(Pointwise(), inputs))


@pytest.mark.parametrize("size", [(23, 31), (8, 31), (5, 31), (23, 6), (11, 12)])
def test_a_pixel_has_the_mean_logits_of_the_windows_that_see_it(
    model: Convolution, size: tuple[int, int]
) -> None:
    inputs = picture(*size)
    sliding = SlidingWindowInference(model=model, window=(8, 10), stride=(5, 4))
    output = logits(sliding, inputs)
    height, width = min(8, size[0]), min(10, size[1])
    total = torch.zeros(4, *size, dtype=torch.double)
    times = torch.zeros(size)
    for top in sorted({min(k, size[0] - height) for k in range(0, size[0], 5)}):
        for left in sorted({min(k, size[1] - width) for k in range(0, size[1], 4)}):
            crop = inputs["image"][:, top : top + height, left : left + width]
            found = logits(model, {"image": crop})
            for y in range(height):
                for x in range(width):
                    total[:, top + y, left + x] += found[:, y, x]
                    times[top + y, left + x] += 1
    assert torch.allclose(output.double(), total / times, atol=1e-3)


def test_a_window_over_the_whole_image_is_the_model_bit_by_bit(model: Convolution) -> None:
    batch = [picture(), picture(9, 31)]
    sliding = SlidingWindowInference(model=model, window=(21, 34), stride=(1, 1))
    outputs = sliding(batch)
    assert len(model.seen) == 1
    assert all(seen is given for seen, given in zip(model.seen[0], batch, strict=True))
    for output, inputs in zip(outputs, batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(model, inputs))


def test_one_window_is_predicted_at_a_time_at_its_own_size(model: Convolution) -> None:
    inputs = picture() | {"height": 42, "width": 68}
    output = logits(SlidingWindowInference(model=model, window=(8, 10), stride=(8, 10)), inputs)
    assert [len(batch) for batch in model.seen] == [1] * (3 * 4)
    assert {(b["height"], b["width"]) for (b,) in model.seen} == {(8, 10)}
    native = logits(
        SlidingWindowInference(model=model, window=(8, 10), stride=(8, 10)),
        {"image": inputs["image"]},
    )
    expected = nn.functional.interpolate(native[None], scale_factor=2, mode="bilinear")[0]
    assert torch.allclose(output, expected, atol=1e-3)


def test_images_of_a_batch_slide_each_for_itself(model: Convolution) -> None:
    sliding = SlidingWindowInference(model=model, window=(8, 10), stride=(5, 5))
    batch = [picture(), picture(7, 9), picture(8, 40)]
    for output, inputs in zip(sliding(batch), batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(sliding, inputs))


def test_windows_slide_over_every_scale() -> None:
    inputs = picture()
    sliding = SlidingWindowInference(model=Pointwise(), window=(6, 8), stride=(4, 5))
    composed = MultiScaleInference(model=sliding, scales=[1, 0.5], flip=True)
    whole = MultiScaleInference(model=Pointwise(), scales=[1, 0.5], flip=True)
    assert torch.allclose(logits(composed, inputs), logits(whole, inputs), atol=1e-3)


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        ((8, 8), (8, 9), r"stride \(8, 9\) is larger than the window \(8, 8\)"),
        ((8, 8), (0, 8), r"stride \(0, 8\); expected height and width"),
        ((8,), (8, 8), r"window \(8,\); expected height and width"),
    ],
)
def test_windows_that_leave_gaps_or_never_advance_are_refused(window, stride, message) -> None:
    with pytest.raises(LangDGError, match=message):
        SlidingWindowInference(model=Pointwise(), window=window, stride=stride)


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
