"""The meta-architecture: normalisation, padding, the seam, the loss, and inference."""

import re

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.postprocessing import sem_seg_postprocess

from langdg_d2.layers import fold
from langdg_d2.modeling import (
    ClipResNet,
    DeepLabV3PlusHead,
    FeatureAugmentation,
    LangDGSegmentor,
    PixelCrossEntropy,
    PixelNormalization,
    training_summary,
)
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
IGNORE, CLASSES, SMOOTHING = 255, 5, 0.1


@pytest.fixture
def model(tiny_tower):
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))
    head = DeepLabV3PlusHead(
        input_shape=backbone.output_shape(),
        low_level="res2",
        high_level="res5",
        num_classes=CLASSES,
        low_level_channels=4,
        channels=8,
        atrous_rates=(1, 2),
        dropout=0.0,
    )
    return LangDGSegmentor(
        backbone=backbone,
        sem_seg_head=head,
        criterion=PixelCrossEntropy(ignore_label=IGNORE, label_smoothing=SMOOTHING),
        pixel_mean=MEAN,
        pixel_std=STD,
        classes=LabelSpace([f"class {k}" for k in range(CLASSES)], ignore_label=IGNORE),
    )


def example(height=64, width=80, **extra):
    return {
        "image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8),
        "sem_seg": torch.randint(0, CLASSES, (height, width), dtype=torch.uint8),
        **extra,
    }


def smoothed_cross_entropy(logits, labels):
    """Label smoothing from its definition: weight 1 - s on the class, s shared by all classes."""
    log_probability = logits.double().log_softmax(1).permute(0, 2, 3, 1)  # (N, H, W, K)
    counted = labels != IGNORE
    chosen = log_probability[counted].gather(1, labels[counted][:, None]).squeeze(1)
    uniform = log_probability[counted].mean(1)
    return -((1 - SMOOTHING) * chosen + SMOOTHING * uniform).mean()


def test_images_are_normalised_per_channel_and_padded_with_the_mean(model):
    small, large = example(8, 6), example(10, 12)
    images = model.preprocess([small, large])
    assert images.image_sizes == [(8, 6), (10, 12)]
    expected = (small["image"].double() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    assert torch.allclose(images.tensor[0, :, :8, :6].double(), expected, atol=1e-6)
    assert (images.tensor[0, :, 8:] == 0).all()
    assert (images.tensor[0, :, :, 6:] == 0).all()


def test_loss_is_smoothed_cross_entropy_of_upsampled_logits_without_ignored_pixels(model):
    model.train()
    batch = [example(64, 80), example(64, 80)]
    batch[0]["sem_seg"][:20] = IGNORE
    loss = model(batch)["loss_sem_seg"]
    model.backbone.tower.layer4[2].train()
    logits = model.sem_seg_head(model.backbone(model.preprocess(batch).tensor))
    logits = torch.nn.functional.interpolate(logits, (64, 80), mode="bilinear")
    labels = torch.stack([x["sem_seg"] for x in batch]).long()
    assert loss.item() == pytest.approx(smoothed_cross_entropy(logits, labels).item(), rel=1e-5)


def test_batch_without_a_labelled_pixel_has_loss_zero_and_moves_nothing(model):
    model.train()
    blank = example() | {"sem_seg": torch.full((64, 80), IGNORE, dtype=torch.uint8)}
    loss = model([blank, blank])["loss_sem_seg"]
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad.abs().max() == 0 for p in model.parameters() if p.grad is not None)


def test_padding_is_ignored_by_the_loss(model):
    model.train()
    batch = [example(48, 64), example(64, 80)]
    seen = []
    model.criterion.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    loss = model(batch)["loss_sem_seg"]
    (targets,) = seen
    assert targets.dtype == torch.int64
    assert (targets[0, 48:] == IGNORE).all()
    assert (targets[0, :, 64:] == IGNORE).all()
    assert torch.equal(targets[1], batch[1]["sem_seg"].long())
    assert torch.isfinite(loss)


def test_gradients_reach_the_head_and_the_trainable_block_only(model):
    model.train()
    model([example(), example()])["loss_sem_seg"].backward()
    with_gradient = {n for n, p in model.named_parameters() if p.grad is not None}
    expected = {
        n
        for n, _ in model.named_parameters()
        if n.startswith(("sem_seg_head", "backbone.tower.layer4.2"))
    }
    assert with_gradient == expected


def test_fifty_iterations_leave_the_frozen_layers_bit_identical(model):
    frozen = {
        name: value.clone()
        for name, value in model.backbone.state_dict().items()
        if not name.startswith("tower.layer4.2")
    }
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    batch = [example(32, 48), example(32, 48)]
    for _ in range(50):
        model.train()
        optimizer.zero_grad()
        model(batch)["loss_sem_seg"].backward()
        optimizer.step()
    after = model.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in frozen.items())
    assert sum("running_mean" in name for name in frozen) > 10


def test_inference_gives_logits_at_the_wanted_size(model):
    model.eval()
    outputs = model([example(50, 70), example(50, 70) | {"height": 100, "width": 140}])
    assert outputs[0]["sem_seg"].shape == (CLASSES, 50, 70)
    assert outputs[1]["sem_seg"].shape == (CLASSES, 100, 140)
    assert not outputs[0]["sem_seg"].requires_grad


def test_inference_at_the_images_own_size_is_the_plain_network(model):
    model.eval()
    one = example(50, 70)
    logits = model.sem_seg_head(model.backbone(model.preprocess([one]).tensor))
    expected = torch.nn.functional.interpolate(logits, (50, 70), mode="bilinear")[0]
    assert torch.allclose(model([one])[0]["sem_seg"], expected, atol=1e-6)


def test_images_of_other_sizes_in_a_batch_change_nothing(model):
    small = example(50, 70)
    batch = [small, example(64, 80), small | {"height": 64, "width": 80}, example(35, 70)]
    together = [output["sem_seg"] for output in model.eval()(batch)]
    for found, one in zip(together, batch, strict=True):
        (alone,) = model([one])
        torch.testing.assert_close(found, alone["sem_seg"], rtol=1e-4, atol=1e-5)
        assert found.untyped_storage().nbytes() == found.numel() * found.element_size()
    upright = sem_seg_postprocess(together[0], (50, 70), 64, 80)
    torch.testing.assert_close(together[2], upright, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"res2": ShapeSpec(channels=9, stride=4), "res5": ShapeSpec(channels=128, stride=8)},
            "set model.sem_seg_head.input_shape.res2.channels=16 (not 9), "
            "model.sem_seg_head.input_shape.res5.stride=16 (not 8)",
        ),
        (
            {"res6": ShapeSpec(channels=32)},
            "the head reads 'res6', the backbone gives ['stem', 'res2', 'res3', 'res4', 'res5']",
        ),
    ],
)
def test_head_for_other_features_is_refused_when_built(model, changes, message):
    model.sem_seg_head.input_shape |= changes
    parts = {"backbone": model.backbone, "sem_seg_head": model.sem_seg_head}
    with pytest.raises(LangDGError, match=re.escape(message)):
        LangDGSegmentor(
            **parts,
            criterion=model.criterion,
            pixel_mean=MEAN,
            pixel_std=STD,
            classes=model.classes,
        )


class Recorder(FeatureAugmentation):
    """Doubles the features and keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, features, patch_classes):
        self.calls.append((features.clone(), patch_classes))
        return 2 * features


def test_augmented_features_feed_both_the_next_layers_and_the_head(model):
    model.train()
    model.feature_augmentation = Recorder()
    seen = []
    model.sem_seg_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    classes = torch.arange(6, dtype=torch.uint8).view(2, 3)
    model([example(patch_classes=classes), example(patch_classes=classes + 1)])
    ((features, patch_classes),) = model.feature_augmentation.calls
    assert torch.equal(patch_classes, torch.stack([classes, classes + 1]))
    assert torch.equal(seen[0]["res2"], 2 * features)
    model.backbone.tower.layer4[2].train()
    assert torch.allclose(
        seen[0]["res5"], model.backbone.forward_high({"res2": 2 * features})["res5"]
    )


def test_evaluation_never_augments_and_the_state_dict_knows_no_augmentation(model):
    keys = list(model.state_dict())
    model.feature_augmentation = Recorder()
    model.eval()([example()])
    assert model.feature_augmentation.calls == []
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("training", [True, False])
def test_fast_paths_give_the_plain_models_results_and_gradients(model, training, load_tool):
    benchmark = load_tool("benchmark")
    torch.manual_seed(0)
    batch = [example(), example()]
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
        torch.nn.init.normal_(norm.running_mean, std=0.1)
    model.train(training).double()
    results, gradients = [], []
    for paths in ((), benchmark.FASTER):
        with benchmark.without(paths), fold(model):
            found = model(batch)
            results.append(found["loss_sem_seg"] if training else found[0]["sem_seg"])
            if training:
                trained = [p for p in model.parameters() if p.requires_grad]
                gradients.append(torch.autograd.grad(results[-1], trained))
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)
    assert not torch.equal(*results)
    if training:
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_summary_counts_what_trains_and_tells_the_batch_norm_mode(model):
    rows = {
        cells[0]: cells[1:]
        for line in training_summary(model.train()).splitlines()[2:]
        for cells in [[cell.strip() for cell in line.split("|")[1:-1]]]
    }
    assert next(iter(rows)) == "stem"
    assert list(rows)[-2:] == ["layer4.2", "sem_seg_head"]
    for name, (parameters, trainable, mode) in rows.items():
        trains = name in ("layer4.2", "sem_seg_head")
        assert trainable == (parameters if trains else "0")
        assert mode == ("train" if trains else "eval")
    total = sum(int(parameters.replace(",", "")) for parameters, _, _ in rows.values())
    assert total == sum(p.numel() for p in model.parameters())


def test_fast_paths_leave_no_trace_in_the_state_dict(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold(model.eval())
    model([example()])
    assert list(model.state_dict()) == list(before)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_statistics_of_pixels_from_0_to_1_are_refused():
    with pytest.raises(LangDGError, match=r"pixels in 0..1, expected 0..255"):
        PixelNormalization(mean=[0.48, 0.46, 0.41], std=[0.23, 0.22, 0.23])
    PixelNormalization(mean=[103.5, 116.3, 123.7], std=[1.0, 1.0, 1.0])
    PixelNormalization(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])  # for towers that normalise
