"""Vision transformers of timm as Detectron2 backbones.

The tokens after some blocks are reshaped to maps and become features of four strides. Images may
have any size; position tables and rotary grids are resized at run time, as in timm.
"""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from timm.layers import Format, RotaryEmbeddingCat, RotaryEmbeddingDinoV3
from timm.models import Eva, VisionTransformer
from torch import Tensor, nn

from ...utils.errors import LangDGError, require_int
from .adapters import Adapter
from .adapters.base import AdapterPart
from .base import Backbone
from .pyramid import SCALES

_PYRAMID = "pyramid"
_RESAMPLINGS = ("timm", "bicubic")


class VitTower(Backbone):
    """A vision transformer whose features are its tokens after some blocks.

    Layer groups are `patch_embed` (with class and register tokens and the position table), one per
    block (`blocks.0` to `blocks.23` in the large size), and `pyramid`, which is always trained. The
    layers after the last tap, including the final norm and pooling, are removed.

    Features are `tokens`, the embedded patches before the position embedding, which can be
    restyled, and `res2` to `res5` of the pyramid at 1/4, 1/2, 1 and 2 times the stride of the
    patches. Without a pyramid there is only `res4`.

    Args:
        tower: returned by `load_timm_tower`, or by `load_image_tower` if timm has the image tower;
            modified in place and owned by this module.
        taps: ascending indices of the blocks whose tokens are used, four with a pyramid.
        trainable: layer groups to train, see `freezing.freeze`.
        pyramid: maps the tokens of the taps, each (N, C, h, w), to features at `pyramid.SCALES`
            times their stride, such as `DeconvPyramid` or `ResizePyramid`; None concatenates the
            taps to `res4`.
        patch_size: patch size in pixels; None for the pretrained size.
        patch_resampling: how to resize the patch kernel. "timm" preserves its responses to resized
            images with a pseudo-inverse (FlexiViT). "bicubic" interpolates the kernel and the
            position table without antialiasing, as the released weights of Rein and SoMA expect.
        adapter: adapter for the frozen transformer; None for none.
    """

    restyled = "tokens"
    restyled_layer = "patch_embed"

    def __init__(
        self,
        *,
        tower: nn.Module,
        taps: Sequence[int],
        trainable: Sequence[str],
        pyramid: nn.Module | None = None,
        patch_size: int | None = None,
        patch_resampling: str = "timm",
        adapter: Adapter | None = None,
    ) -> None:
        super().__init__()
        trunk: Any = getattr(tower, "trunk", tower)
        _require_transformer(trunk)
        _require_taps(taps, len(trunk.blocks), pyramid)
        trunk.prune_intermediate_layers([*taps], prune_norm=True, prune_head=True)
        if patch_resampling not in _RESAMPLINGS:
            raise LangDGError(
                f"patch_resampling '{patch_resampling}', expected one of {', '.join(_RESAMPLINGS)}"
            )
        if patch_size is not None:
            require_int("patch_size", patch_size)
            set_patch_size(trunk, patch_size, bicubic=patch_resampling == "bicubic")
        take_any_size(trunk)
        self.trunk = trunk
        self.pyramid = pyramid
        self.taps = tuple(taps)
        self._clip_fingerprint = getattr(tower, "whole_clip_fingerprint", None)
        if adapter is not None and trainable:
            raise LangDGError(
                f"trainable is {list(trainable)} beside an adapter, which freezes all layers: set "
                "it to [], or leave out the adapter"
            )
        self.freeze(trainable=trainable)
        if adapter is not None:
            adapter.attach(trunk)

    @property
    def whole_clip_fingerprint(self) -> str | None:
        """See `Backbone.whole_clip_fingerprint`."""
        return self._clip_fingerprint

    def freeze(self, *, trainable: Sequence[str]) -> None:
        """Like `Backbone.freeze`, but the pyramid is always trained."""
        own = [_PYRAMID] if self.pyramid is not None else []
        super().freeze(trainable=[*trainable, *own])

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """Embed the patches.

        Args:
            images: normalised, (N, 3, H, W); H and W are multiples of the patch size.

        Returns:
            `tokens` (N, D, H/patch, W/patch).
        """
        return {self.restyled: self.trunk.patch_embed(images).permute(0, 3, 1, 2)}

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Apply the position embedding, the blocks and the pyramid.

        Args:
            low: features of `forward_low`, restyled or not.

        Returns:
            `low` and all later features.
        """
        trunk, tokens = self.trunk, low[self.restyled]
        images, _, height, width = tokens.shape
        x = trunk._pos_embed(tokens.permute(0, 2, 3, 1))  # (N, prefix + h * w, D)
        positions = {}
        if isinstance(x, tuple):  # `Eva`, whose blocks rotate queries and keys
            x, positions["rope"] = x
        x = trunk.norm_pre(x)
        maps = []
        for index, block in enumerate(trunk.blocks):
            x = block(x, **positions)
            if index in self.taps:
                patches = x[:, trunk.num_prefix_tokens :].transpose(1, 2)
                # torch's default layout, because traces of other layouts are limited to some sizes.
                maps.append(patches.reshape(images, -1, height, width).contiguous())
        if self.pyramid is None:
            return {**low, "res4": torch.cat(maps, dim=1)}
        names = ("res2", "res3", "res4", "res5")
        return {**low, **dict(zip(names, self.pyramid(maps), strict=True))}

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See `Backbone.layer_groups`."""
        tokens = nn.ParameterList(self.trunk.parameters(recurse=False))
        parts = [part for name, part in self.trunk.named_children() if name != "blocks"]
        shared: list[nn.Module] = [part for part in parts if isinstance(part, AdapterPart)]
        stem = [part for part in parts if part not in shared]
        groups: dict[str, list[nn.Module]] = {"patch_embed": [tokens, *stem]}
        groups |= {f"blocks.{k}": [block] for k, block in enumerate(self.trunk.blocks)}
        if shared:  # by all blocks, as in Rein
            groups["adapter"] = shared
        return groups | ({} if self.pyramid is None else {_PYRAMID: [self.pyramid]})

    def low_state(self) -> dict[str, Tensor]:
        """Return the parameters of the patch embedding."""
        state: dict[str, Tensor] = self.trunk.patch_embed.state_dict(keep_vars=True)
        return state

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and strides; for patches of 14 pixels, `res2` has a stride of 3.5."""
        width, patch = self.trunk.embed_dim, self.size_divisibility
        shapes = {self.restyled: ShapeSpec(channels=width, stride=patch)}
        if self.pyramid is None:
            return shapes | {"res4": ShapeSpec(channels=len(self.taps) * width, stride=patch)}
        for k, scale in enumerate(SCALES, start=2):
            stride: Any = patch * scale
            stride = int(stride) if stride == int(stride) else stride
            shapes[f"res{k}"] = ShapeSpec(channels=width, stride=stride)
        return shapes

    @property
    def size_divisibility(self) -> int:
        """Patch size in pixels."""
        return int(self.trunk.patch_embed.patch_size[0])


def set_patch_size(trunk: Any, patch_size: int, *, bicubic: bool) -> None:
    """Resample the patch kernel.

    Args:
        trunk: a `VisionTransformer` or `Eva` of timm, modified in place.
        patch_size: new patch size in pixels.
        bicubic: interpolate the kernel, and the position table to the new grid of the trained image
            size. False uses timm's resampling and keeps the table.
    """
    embedding, sides = trunk.patch_embed, (patch_size, patch_size)
    kernel, grid, image_size = embedding.proj.weight, embedding.grid_size, embedding.img_size
    # A size with the same grid keeps the table.
    trunk.set_input_size([side * patch_size for side in grid], sides)
    if not bicubic:
        return
    table = trunk.pos_embed
    trunk.set_input_size(image_size)  # resizes the table
    with torch.no_grad():
        embedding.proj.weight.copy_(_bicubic(kernel, sides))
        if table is not None:
            prefix = 0 if trunk.no_embed_class else trunk.num_prefix_tokens
            positions = table[:, prefix:].unflatten(1, grid).permute(0, 3, 1, 2)
            positions = _bicubic(positions, embedding.grid_size)
            trunk.pos_embed[:, prefix:] = positions.flatten(2).transpose(1, 2)


def take_any_size(trunk: Any) -> None:
    """Make a timm transformer behave as if created with `dynamic_img_size=True`.

    Positions are resized from the trained ones in every forward pass, so errors do not accumulate.

    Args:
        trunk: a `VisionTransformer` or `Eva`, modified in place.
    """
    trunk.dynamic_img_size = True
    trunk.patch_embed.strict_img_size = False
    trunk.patch_embed.flatten = False
    trunk.patch_embed.output_fmt = Format.NHWC
    rope = getattr(trunk, "rope", None)
    if isinstance(rope, RotaryEmbeddingCat):  # returns the angles of its own grid only
        names = signature(type(rope)).parameters.keys() - {"feat_shape"}
        arguments = {name: getattr(rope, name) for name in names if hasattr(rope, name)}
        trunk.rope = type(rope)(**arguments)


def _require_transformer(trunk: object) -> None:
    if not isinstance(trunk, VisionTransformer | Eva):
        raise LangDGError(
            f"the image tower is a {type(trunk).__name__}, expected a VisionTransformer or an Eva "
            "of timm: choose such a model of load_timm_tower, which has OpenAI's CLIP as "
            "vit_base_patch16_clip_quickgelu_224.openai, or an open_clip model on timm, 'EVA02*'"
        )
    rope = getattr(trunk, "rope", None)
    if not isinstance(rope, RotaryEmbeddingCat | RotaryEmbeddingDinoV3 | None):
        raise LangDGError(
            f"the image tower has positions of the kind {type(rope).__name__}, expected a table or "
            "rotary ones as in EVA02 or DINOv3: choose another model"
        )


def _require_taps(taps: Sequence[int], blocks: int, pyramid: nn.Module | None) -> None:
    ascending = list(taps) == sorted(set(taps)) and len(taps) > 0
    if not ascending or taps[0] < 0 or taps[-1] >= blocks:
        raise LangDGError(
            f"taps {list(taps)}, expected ascending indices from 0 to {blocks - 1} of blocks"
        )
    if pyramid is not None and len(taps) != len(SCALES):
        raise LangDGError(
            f"taps {list(taps)} for a pyramid, which takes {len(SCALES)}; without one, "
            "pyramid=None, any number is concatenated"
        )


def _bicubic(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bicubic", align_corners=False)
