"""CLIP's ModifiedResNet as a Detectron2 backbone, cut where FAMix restyles features.

Paper section 4: stem and `layer1` give the low-level features (stride 4) whose style is augmented;
`layer2` to `layer4` turn them into the high-level features.
"""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import cast

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import Tensor, nn

from ...layers import AttentionPool
from ...utils.errors import LangDGError
from .freezing import FrozenLayers, layer_groups
from .layers import BLOCK_LAYERS, FEATURES, LAYERS, STRIDES
from .output_stride import DilationPattern, set_output_stride


class ClipResNet(Backbone):
    """Image tower of a ResNet CLIP, in three steps: `forward_low`, `forward_high`, `embed`.

    The style of the features between the first two is augmented.

    Attributes:
        restyled_layer: layer whose output is restyled.
        restyled: name of that output in `output_shape()`.
        restyle_activation: ReLU, which ends every layer of a ResNet.

    Args:
        tower: as returned by `load_image_tower`; modified in place and owned by this module.
        output_stride: of the high-level features: 8, 16, or 32 (CLIP's own).
        dilation: how strides become dilation, see `set_output_stride`.
        trainable: layer groups that train, see `FrozenLayers`; all others stay frozen, in eval
            mode even after `train()`.
        restyled_layer: `layer1` as in FAMix, or `stem`, `layer2`, `layer3`.
        attention_pool: keep CLIP's attention pooling, which `embed` needs. Segmentation does not,
            and saves its parameters.
    """

    restyle_activation = staticmethod(torch.relu)

    def __init__(
        self,
        *,
        tower: ModifiedResNet,
        output_stride: int,
        dilation: DilationPattern = "famix",
        trainable: Sequence[str],
        restyled_layer: str = "layer1",
        attention_pool: bool = False,
    ) -> None:
        super().__init__()
        if restyled_layer not in LAYERS[:-1]:
            raise LangDGError(f"restyled_layer '{restyled_layer}' must be one of {LAYERS[:-1]}")
        set_output_stride(tower, output_stride=output_stride, pattern=dilation)
        tower.attnpool = AttentionPool(tower.attnpool) if attention_pool else None
        self.tower = tower
        self.restyled_layer = restyled_layer
        self.restyled = FEATURES[LAYERS.index(restyled_layer)]
        self._frozen = FrozenLayers(tower, trainable=trainable)
        channels = [tower.conv3.out_channels, *(_width(getattr(tower, n)) for n in BLOCK_LAYERS)]
        self._output_shape = {
            name: ShapeSpec(channels=width, stride=min(stride, output_stride))
            for name, width, stride in zip(FEATURES, channels, STRIDES, strict=True)
        }

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """The layers up to and including the restyled one.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            All features up to `restyled`, (N, C, ~H/stride, ~W/stride) each.
        """
        split = FEATURES.index(self.restyled) + 1
        return self._run({}, images, FEATURES[:split])

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The layers after the restyled one.

        Args:
            low: what `forward_low` gave, its restyled features as they are or restyled.

        Returns:
            `low` and all later features.
        """
        split = FEATURES.index(self.restyled) + 1
        return self._run(low, low[self.restyled], FEATURES[split:])

    def _run(
        self, known: Mapping[str, Tensor], x: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        features = dict(known)
        for name in names:
            x = getattr(self.tower, LAYERS[FEATURES.index(name)])(x)
            features[name] = x
        return features

    def embed(self, high: Tensor) -> Tensor:
        """CLIP's image embedding, not normalised.

        Args:
            high: high-level features (N, C, h, w) at stride 32 of an image of CLIP's input size;
                attention pooling has one position for each of its h*w pixels.

        Returns:
            (N, D), D the width of CLIP's joint space.

        Raises:
            RuntimeError: without attention pooling, or if h or w is not what it was trained for.
        """
        side = self.embedding_side
        if tuple(high.shape[-2:]) != (side, side):
            raise RuntimeError(
                f"embed got {high.shape[-2]}x{high.shape[-1]} features, attention pooling has "
                f"{side}x{side} positions: use images of CLIP's input size and output_stride 32"
            )
        return self.tower.attnpool(high)

    @property
    def embedding_side(self) -> int:
        """Height and width of the high-level features that `embed` takes; 7 in CLIP RN50.

        Raises:
            RuntimeError: without attention pooling.
        """
        if self.tower.attnpool is None:
            raise RuntimeError("embed needs CLIP's attention pooling: pass attention_pool=True")
        positions = self.tower.attnpool.positional_embedding.shape[0] - 1  # one is the mean of all
        return isqrt(positions)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Low and high-level features of normalised images (N, 3, H, W), without any restyling."""
        return self.forward_high(self.forward_low(x))

    @property
    def restyled_channels(self) -> int:
        """Channels of the restyled features."""
        return int(self._output_shape[self.restyled].channels)

    @property
    def clip_fingerprint(self) -> str | None:
        """Fingerprint of the whole CLIP, set by `load_clip`; None if it loaded no weights."""
        return getattr(self.tower, "whole_clip_fingerprint", None)

    def low_state(self) -> dict[str, Tensor]:
        """Parameters and buffers up to the restyled layer, by group and number of the module."""
        layers = LAYERS[: LAYERS.index(self.restyled_layer) + 1]
        return {
            f"{group}.{k}.{name}": value
            for group, modules in self.layer_groups().items()
            if group.partition(".")[0] in layers
            for k, module in enumerate(modules)
            for name, value in module.state_dict(keep_vars=True).items()
        }

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See `freezing.layer_groups`."""
        return layer_groups(self.tower)

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of `stem` and of `res2` to `res5`."""
        return dict(self._output_shape)

    def train(self, mode: bool = True) -> "ClipResNet":
        """As `nn.Module.train`, but frozen layers stay in eval mode."""
        super().train(mode)
        self._frozen.keep_in_eval()
        return self


def _width(layer: nn.Sequential) -> int:
    last = cast("Bottleneck", layer[-1])
    return last.conv3.out_channels
