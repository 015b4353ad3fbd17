"""Layers, ShapeSpec and ImageList, on whichever Detectron2 is installed."""

import copy

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d, NaiveSyncBatchNorm, ShapeSpec, get_norm
from detectron2.structures import ImageList
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def batch_norm():
    """A BatchNorm of four channels with nothing at its default."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.BatchNorm2d(4, eps=1e-3)
    for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
        tensor.copy_(torch.randn(4, generator=generator))
    layer.running_var.copy_(torch.rand(4, generator=generator) + 0.5)
    return layer


@pytest.fixture
def images():
    """(2, 4, 3, 5), seeded."""
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1))


# ShapeSpec and convolution


def test_shape_spec_compares_by_value_and_knows_nothing_by_default():
    assert ShapeSpec(channels=3, stride=4) == ShapeSpec(3, None, None, 4)
    assert ShapeSpec() != ShapeSpec(height=4)


def test_conv_applies_norm_then_activation(images):
    conv = Conv2d(
        4, 6, 3, stride=2, padding=1, bias=False, norm=nn.BatchNorm2d(6), activation=F.relu
    )
    plain = F.conv2d(images, conv.weight, stride=2, padding=1)
    mean, var = plain.mean((0, 2, 3), keepdim=True), plain.var((0, 2, 3), False, keepdim=True)
    assert torch.allclose(conv(images), F.relu((plain - mean) / (var + 1e-5).sqrt()), atol=1e-6)
    names = ("bias", "num_batches_tracked", "running_mean", "running_var", "weight")
    assert sorted(conv.state_dict()) == [*(f"norm.{name}" for name in names), "weight"]
    bare = Conv2d(4, 6, kernel_size=3, dilation=2, groups=2, padding=2)
    assert torch.equal(bare(images), nn.Conv2d.forward(bare, images))


# normalization by name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BN", nn.BatchNorm2d),
        ("SyncBN", nn.SyncBatchNorm),
        ("naiveSyncBN", NaiveSyncBatchNorm),
        ("FrozenBN", FrozenBatchNorm2d),
    ],
)
def test_batch_norms_by_name_have_the_channels_asked_for(name, kind):
    assert get_norm("", 8) is get_norm(None, 8) is None
    layer = get_norm(name, 8)
    assert type(layer) is kind
    assert layer.num_features == 8


def test_group_norm_has_32_groups_and_any_callable_makes_a_norm():
    layer = get_norm("GN", 64)
    assert (type(layer), layer.num_groups, layer.num_channels) == (nn.GroupNorm, 32, 64)
    assert isinstance(get_norm(nn.InstanceNorm2d, 8), nn.InstanceNorm2d)
    with pytest.raises(KeyError, match="batchnorm"):
        get_norm("batchnorm", 8)


def test_naive_sync_norm_of_a_single_process_is_batch_norm(images):
    naive, plain = NaiveSyncBatchNorm(4), nn.BatchNorm2d(4)
    assert torch.equal(naive(images), plain(images))
    assert torch.equal(naive.running_var, plain.running_var)


# frozen batch norm


def test_a_new_frozen_norm_is_the_identity_and_has_no_parameters(images):
    frozen = FrozenBatchNorm2d(4)
    assert torch.allclose(frozen(images), images, atol=1e-6)
    assert list(frozen.parameters()) == []
    assert sorted(frozen.state_dict()) == ["bias", "running_mean", "running_var", "weight"]
    assert repr(frozen) == "FrozenBatchNorm2d(num_features=4, eps=1e-05)"


def test_a_frozen_norm_equals_batch_norm_in_eval_mode_with_and_without_gradients(
    batch_norm, images
):
    frozen = FrozenBatchNorm2d.convert_frozen_batchnorm(batch_norm)
    assert type(frozen) is FrozenBatchNorm2d
    frozen.train()
    expected = batch_norm.eval()(images)
    assert torch.allclose(frozen(images), expected, atol=1e-5)
    differentiable = images.clone().requires_grad_()
    result = frozen(differentiable)
    assert torch.allclose(result, expected, atol=1e-5)
    result.sum().backward()
    slope = batch_norm.weight / (batch_norm.running_var + batch_norm.eps).sqrt()
    assert torch.allclose(differentiable.grad[0, :, 0, 0], slope, atol=1e-5)
    assert frozen(images.half().requires_grad_()).dtype == torch.float16


def test_conversion_replaces_the_layers_inside_and_keeps_the_state_dict(batch_norm):
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ModuleDict({"norm": batch_norm}), nn.ReLU())
    before = copy.deepcopy(model.state_dict())
    assert FrozenBatchNorm2d.convert_frozen_batchnorm(model) is model
    assert type(model[1]["norm"]) is FrozenBatchNorm2d
    after = model.state_dict()
    assert sorted(after) == sorted(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert model[1]["norm"].eps == 1e-3


def test_a_frozen_norm_loads_a_batch_norm(batch_norm):
    frozen = FrozenBatchNorm2d(4)
    loaded = frozen.load_state_dict(batch_norm.state_dict(), strict=False)
    assert loaded.missing_keys == []
    assert torch.equal(frozen.running_mean, batch_norm.running_mean)


# image lists


def test_images_are_padded_at_the_right_and_bottom_to_the_largest():
    first, second = torch.ones(3, 4, 2), torch.full((3, 2, 5), 2.0)
    batch = ImageList.from_tensors([first, second], pad_value=-1.0)
    assert batch.tensor.shape == (2, 3, 4, 5)
    assert batch.image_sizes == [(4, 2), (2, 5)]
    assert len(batch) == 2
    assert torch.equal(batch[0], first)
    assert torch.equal(batch[1], second)
    assert batch.to(torch.float64).tensor.dtype == torch.float64
    assert batch.to(device="meta").device == torch.device("meta")
    assert batch.to(device="meta").image_sizes == batch.image_sizes
    assert (batch.tensor[0, :, :, 2:] == -1).all()
    assert (batch.tensor[1, :, 2:] == -1).all()


@pytest.mark.parametrize(
    ("divisibility", "constraints", "size"),
    [
        (0, None, (5, 7)),
        (1, None, (5, 7)),
        (4, {}, (8, 8)),
        (4, {"size_divisibility": 3}, (6, 9)),
        (4, {"size_divisibility": 0}, (5, 7)),
        (0, {"square_size": 10}, (10, 10)),
        (4, {"square_size": 10}, (12, 12)),
        (4, {"square_size": 0, "size_divisibility": 10}, (10, 10)),
    ],
)
def test_the_batch_has_the_size_that_the_constraints_ask_for(divisibility, constraints, size):
    images = [torch.zeros(1, 5, 7)] * 2
    batch = ImageList.from_tensors(images, divisibility, padding_constraints=constraints)
    assert batch.tensor.shape == (2, 1, *size)
    assert batch.image_sizes == [(5, 7)] * 2


def test_label_maps_and_stacks_of_images_keep_their_dtype_and_leading_dimensions():
    labels = ImageList.from_tensors([torch.zeros(2, 3, dtype=torch.int64)], 4, 255)
    assert labels.tensor.dtype == torch.int64
    assert labels.tensor.tolist() == [[[0, 0, 0, 255], [0, 0, 0, 255], [255] * 4, [255] * 4]]
    stacks = ImageList.from_tensors((torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 5, 2)))
    assert stacks.tensor.shape == (2, 2, 3, 5, 4)
    assert stacks[1].shape == (2, 3, 5, 2)


def test_the_batch_is_a_copy_through_which_gradients_flow():
    images = [torch.ones(1, 2, 2, requires_grad=True), torch.ones(1, 3, 3)]
    batch = ImageList.from_tensors(images)
    (batch.tensor[0] * 2).sum().backward()
    assert images[0].grad.tolist() == [[[2.0, 2.0], [2.0, 2.0]]]
    plain = torch.ones(1, 2, 2)
    ImageList.from_tensors([plain]).tensor.zero_()
    assert plain.sum() == 4


@pytest.mark.parametrize(
    "images", [[], [torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)], torch.zeros(2, 3, 2, 2)]
)
def test_images_that_do_not_fit_together_are_refused(images):
    with pytest.raises(AssertionError):
        ImageList.from_tensors(images)
