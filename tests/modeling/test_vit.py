"""Vision transformers give what timm's give, at any size, and train exactly the chosen parts."""

import copy
import json

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import nn

from langdg_d2.modeling import (
    DeconvPyramid,
    LoRA,
    Rein,
    ResizePyramid,
    VitTower,
    load_image_tower,
    load_timm_tower,
)
from langdg_d2.utils.errors import LangDGError

SMALL = {"embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 0}
# A class token with a position, before pooling by mean, with a rotary grid, with registers.
TRUNKS = {
    "vit_base_patch16_clip_quickgelu_224": {"img_size": 64},
    "vit_large_patch14_dinov2": {"img_size": 70},
    "vit_large_patch14_reg4_dinov2": {"img_size": 70},
    "vit_large_patch16_siglip_384": {"img_size": 64},
    "eva02_large_patch14_clip_336": {"img_size": 70},
    "vit_large_patch16_dinov3": {"img_size": 64},
}
TIMM_NAMES = [
    "vit_base_patch16_clip_quickgelu_224.openai",
    "vit_large_patch14_clip_quickgelu_336.openai",
    "vit_large_patch14_dinov2.lvd142m",
    "vit_large_patch14_reg4_dinov2.lvd142m",
    "vit_large_patch16_dinov3.lvd1689m",
    "eva02_large_patch14_clip_336.merged2b",
    "vit_large_patch16_siglip_512.v2_webli",
]
OPEN_CLIP_NAMES = {
    "EVA02-L-14-336": "merged2b_s6b_b61k",
    "EVA02-L-14": "merged2b_s4b_b131k",
    "EVA02-B-16": "merged2b_s8b_b131k",
    "ViT-L-16-SigLIP2-512": "webli",
}
TAPS = (0, 1, 2, 3)


def trunk_of(name: str, **options: object) -> nn.Module:
    """A narrow model of timm with four blocks, no weights of which are special."""
    model = timm.create_model(name, **{**SMALL, **TRUNKS[name], **options}).eval()
    torch.manual_seed(1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("name", TIMM_NAMES)
def test_named_towers_of_timm_exist(name):
    assert name in timm.list_pretrained()


@pytest.mark.parametrize(("name", "tag"), OPEN_CLIP_NAMES.items())
def test_named_towers_of_open_clip_are_timms(name, tag):
    assert tag in open_clip.list_pretrained_tags_by_model(name)
    assert timm.is_model(open_clip.get_model_config(name)["vision_cfg"]["timm_model_name"])


@pytest.mark.parametrize("grid", [None, (3, 7), (8, 5)])
@pytest.mark.parametrize("name", TRUNKS)
def test_features_are_timms_at_the_trained_and_other_sizes(name, grid):
    trunk = trunk_of(name, dynamic_img_size=bool(grid))
    patch = trunk.patch_embed.patch_size[0]
    size = [patch * side for side in grid or trunk.patch_embed.grid_size]
    images = torch.randn(2, 3, *size)
    backbone = VitTower(tower=trunk_of(name), taps=(1, 3), trainable=()).eval()
    with torch.no_grad():
        expected = trunk.forward_intermediates(images, indices=[1, 3], intermediates_only=True)
        found = backbone(images)
    torch.testing.assert_close(found["res4"], torch.cat(expected, dim=1), rtol=1e-5, atol=1e-5)
    assert found["tokens"].shape == (2, 32, *(side // patch for side in size))


@pytest.mark.parametrize("name", ["eva02_large_patch14_clip_336", "vit_large_patch14_dinov2"])
def test_other_sizes_between_leave_features_as_they_were(name):
    backbone = VitTower(tower=trunk_of(name), taps=(3,), trainable=()).eval()
    images = torch.randn(1, 3, 70, 70)
    with torch.no_grad():
        before = backbone(images)["res4"]
        for side in (14, 140, 42):
            backbone(torch.randn(1, 3, side, 2 * side))
        assert torch.equal(backbone(images)["res4"], before)


@pytest.mark.parametrize("pyramid", [DeconvPyramid(channels=32), ResizePyramid(), None])
@pytest.mark.parametrize("name", ["vit_large_patch16_dinov3", "vit_large_patch14_dinov2"])
def test_declared_channels_and_strides_are_true(name, pyramid):
    backbone = VitTower(tower=trunk_of(name), taps=TAPS, trainable=(), pyramid=pyramid).eval()
    side = 8 * backbone.size_divisibility
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, side, 2 * side))
    shapes = backbone.output_shape()
    assert features.keys() == shapes.keys()
    for key, feature in features.items():
        assert feature.shape[1] == shapes[key].channels
        assert feature.shape[2:] == (side / shapes[key].stride, 2 * side / shapes[key].stride)
    if pyramid is not None and backbone.size_divisibility == 16:
        assert [shapes[f"res{k}"].stride for k in (2, 3, 4, 5)] == [4, 8, 16, 32]


def test_resizing_pyramid_is_bilinear():
    maps = list(torch.randn(4, 2, 8, 6, 10))
    for found, one, factor in zip(ResizePyramid()(maps), maps, (4, 2, 1, 0.5), strict=True):
        expected = F.interpolate(one, scale_factor=factor, mode="bilinear")
        torch.testing.assert_close(found, expected)


def test_learned_pyramid_is_tqdms():
    maps = list(torch.randn(4, 2, 8, 6, 10))
    pyramid = DeconvPyramid(channels=8).eval()
    found = pyramid(maps)
    assert [tuple(one.shape[2:]) for one in found] == [(24, 40), (12, 20), (6, 10), (3, 5)]
    blocks = maps[3].reshape(2, 8, 3, 2, 5, 2)
    assert torch.equal(found[3], blocks.amax((3, 5)))
    assert found[2] is maps[2]
    pixel = torch.einsum("nchw,cdij->ndhiwj", maps[1], pyramid.to_res3.weight)
    expected = pixel.reshape(2, 8, 12, 20) + pyramid.to_res3.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vit_large_patch14_dinov2", "eva02_large_patch14_clip_336"])
def test_timms_patch_resampling_is_timms(name):
    trunk = trunk_of(name)
    kernel, table = trunk.patch_embed.proj.weight.detach(), trunk.pos_embed.detach()
    made = VitTower(tower=trunk, taps=TAPS, trainable=(), patch_size=16).trunk
    assert made.patch_embed.proj.stride == made.patch_embed.patch_size == (16, 16)
    assert torch.equal(made.patch_embed.proj.weight, resample_patch_embed(kernel, [16, 16]))
    assert torch.equal(made.pos_embed, table)  # resized once, at run time


@pytest.mark.parametrize(
    "name",
    ["vit_large_patch14_dinov2", "vit_large_patch14_reg4_dinov2", "vit_large_patch16_dinov3"],
)
def test_bicubic_patch_resampling_is_plain(name):
    trunk = trunk_of(name)
    kernel, table = trunk.patch_embed.proj.weight.detach(), trunk.pos_embed
    made = VitTower(
        tower=trunk, taps=TAPS, trainable=(), patch_size=20, patch_resampling="bicubic"
    ).trunk
    expected = F.interpolate(kernel, (20, 20), mode="bicubic")
    assert torch.equal(made.patch_embed.proj.weight, expected)
    if table is not None:
        prefix = table.shape[1] - 25
        assert torch.equal(made.pos_embed[:, :prefix], table[:, :prefix])
        grid = table[0, prefix:].T.reshape(1, 32, 5, 5)
        expected = F.interpolate(grid, (3, 3), mode="bicubic")
        torch.testing.assert_close(made.pos_embed[0, prefix:].T.reshape(1, 32, 3, 3), expected)


def test_other_patches_resize_the_trained_positions_once():
    name = "vit_large_patch14_dinov2"
    trunk = trunk_of(name)
    kernel = resample_patch_embed(trunk.patch_embed.proj.weight.detach(), [16, 16])
    table = resample_abs_pos_embed(trunk.pos_embed.detach(), [6, 8], [5, 5])
    reference = trunk_of(name, patch_size=16, img_size=(96, 128))
    state = trunk.state_dict() | {"patch_embed.proj.weight": kernel, "pos_embed": table}
    reference.load_state_dict(state)
    backbone = VitTower(tower=trunk, taps=(3,), trainable=(), patch_size=16).eval()
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        expected = reference.forward_intermediates(images, [3], intermediates_only=True)[0]
        torch.testing.assert_close(backbone(images)["res4"], expected, rtol=1e-5, atol=1e-5)


def test_resampled_patches_embed_resized_images_alike():
    images = F.interpolate(torch.randn(1, 3, 10, 10), (70, 70), mode="bicubic")
    trunk = trunk_of("vit_large_patch14_dinov2")
    own = VitTower(tower=copy.deepcopy(trunk), taps=TAPS, trainable=())
    larger = VitTower(tower=trunk, taps=TAPS, trainable=(), patch_size=28)
    resized = F.interpolate(images, (140, 140), mode="bicubic")
    expected = own.forward_low(images)["tokens"]
    found = larger.forward_low(resized)["tokens"]
    assert F.cosine_similarity(found, expected).min() > 0.99


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        ((), set()),
        (("blocks.-1",), {"blocks.3"}),
        (("blocks.1", "blocks.-1"), {"blocks.1", "blocks.3"}),
        (("blocks",), {f"blocks.{k}" for k in range(4)}),
        (("patch_embed", "blocks"), {"patch_embed", *(f"blocks.{k}" for k in range(4))}),
    ],
)
@pytest.mark.parametrize("name", ["vit_large_patch14_reg4_dinov2", "eva02_large_patch14_clip_336"])
def test_exactly_the_chosen_groups_get_gradients(name, trainable, expected):
    backbone = VitTower(
        tower=trunk_of(name), taps=TAPS, trainable=trainable, pyramid=DeconvPyramid(channels=32)
    ).train()
    features = backbone(torch.randn(2, 3, 70, 70))
    sum(one.square().mean() for one in features.values()).backward()
    groups = {
        group: [p for module in modules for p in module.parameters()]
        for group, modules in backbone.layer_groups().items()
    }
    moved = {group for group, own in groups.items() if any(p.grad is not None for p in own)}
    assert moved == expected | {"pyramid"}
    assert all(p.grad is not None for group in moved for p in groups[group])
    partition = [id(p) for own in groups.values() for p in own]
    assert len(partition) == len(set(partition))
    assert set(partition) == {id(p) for p in backbone.parameters()}


def test_frozen_blocks_stay_in_eval_mode():
    trunk = trunk_of("vit_large_patch14_dinov2", drop_path_rate=0.5)
    backbone = VitTower(tower=trunk, taps=TAPS, trainable=["blocks.-1"]).train()
    assert [block.training for block in backbone.trunk.blocks] == [False, False, False, True]


def test_nothing_behind_the_last_tap_is_kept():
    backbone = VitTower(tower=trunk_of("vit_large_patch16_siglip_384"), taps=(1, 2), trainable=())
    names = {name.partition(".")[0] for name in backbone.trunk.state_dict()}
    assert names == {"patch_embed", "pos_embed", "blocks"}
    assert len(backbone.trunk.blocks) == 3


def test_an_adapter_beside_trainable_layers_is_refused():
    trunk = load_timm_tower(name="test_vit", weights=None)
    with pytest.raises(LangDGError, match=r"trainable is \['blocks.-1'\] beside an adapter"):
        VitTower(tower=trunk, taps=[5], trainable=["blocks.-1"], adapter=LoRA(rank=2))


def test_shared_parts_of_an_adapter_are_a_group():
    trunk = load_timm_tower(name="test_vit", weights=None)
    backbone = VitTower(tower=trunk, taps=[5], trainable=(), adapter=Rein(tokens=3, rank=2))
    *_, last = backbone.layer_groups().items()
    assert last == ("adapter", [trunk.rein])
    held = [m for modules in backbone.layer_groups().values() for m in modules]
    found = [p for module in held for p in module.parameters()]
    assert len(found) == len({*found}) == len(list(backbone.parameters()))


def test_an_adapter_is_attached_to_the_frozen_trunk():
    class Biases:
        def attach(self, trunk: nn.Module) -> None:
            self.frozen = not any(p.requires_grad for p in trunk.parameters())
            for name, parameter in trunk.named_parameters():
                parameter.requires_grad_(name.endswith("bias"))

    adapter = Biases()
    pyramid = DeconvPyramid(channels=32)
    trunk = trunk_of("vit_large_patch14_dinov2")
    backbone = VitTower(tower=trunk, taps=TAPS, trainable=(), pyramid=pyramid, adapter=adapter)
    assert adapter.frozen
    trained = {name for name, p in backbone.named_parameters() if p.requires_grad}
    biases = {name for name, _ in backbone.named_parameters() if name.endswith("bias")}
    assert trained == biases | {f"pyramid.{name}" for name, _ in pyramid.named_parameters()}


def test_an_image_tower_of_open_clip_is_taken(tmp_path):
    path = tmp_path / "tiny-vit-clip.json"
    text = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
    vision = {
        "timm_model_name": "test_vit3",
        "timm_pool": "map",
        "timm_proj": "linear",
        "image_size": 160,
    }
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    tower = load_image_tower(name=str(path), weights=None)
    images = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        expected = tower.trunk.forward_intermediates(images, [8], intermediates_only=True)[0]
        backbone = VitTower(tower=tower, taps=(8,), trainable=()).eval()
        torch.testing.assert_close(backbone(images)["res4"], expected, rtol=1e-5, atol=1e-5)
    assert "head" not in str(list(backbone.state_dict()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taps": (3, 1)}, "ascending indices from 0 to 3"),
        ({"taps": (0, 4)}, "ascending indices from 0 to 3"),
        ({"taps": (1, 3), "pyramid": ResizePyramid()}, "a pyramid, which takes 4"),
        ({"patch_resampling": "nearest"}, "'nearest', expected one of timm, bicubic"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"trainable": ["norm"]}, "'blocks.-1' its last"),
        ({"tower": nn.Identity()}, "is a Identity, expected a VisionTransformer or an Eva"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arguments = {"tower": trunk_of("vit_large_patch14_dinov2"), "taps": TAPS, "trainable": ()}
    with pytest.raises(LangDGError, match=message):
        VitTower(**{**arguments, **changes})


def test_positions_of_other_kinds_are_refused():
    mixed = timm.create_model("vit_small_patch16_rope_mixed_224", **SMALL)
    with pytest.raises(LangDGError, match="positions of the kind RotaryEmbeddingMixed"):
        VitTower(tower=mixed, taps=TAPS, trainable=())
