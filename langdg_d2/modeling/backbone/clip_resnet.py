"""CLIP's ModifiedResNet as a Detectron2 backbone, cut where FAMix restyles features.

Paper section 4: the stem and `layer1` give the low-level features (stride 4), whose style is
augmented; `layer2` to `layer4` turn them into high-level features.
"""

from collections.abc import Mapping, Sequence
from math import isqrt

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from ...layers import AttentionPool
from ...utils.errors import LangDGError
from .freezing import freeze, layer_groups
from .layer_names import BLOCK_LAYERS, FEATURES, LAYERS, STRIDES
from .output_stride import DilationPattern, set_output_stride


class ClipResNet(Backbone):
    """Image tower of a ResNet CLIP in three steps: `forward_low`, `forward_high`, `embed`.

    Styles are augmented between the first two.

    Args:
        tower: returned by `load_image_tower`; modified in place and owned by this module.
        output_stride: of the high-level features: 8, 16, or 32, CLIP's own.
        dilation: how stride becomes dilation, see `set_output_stride`.
        trainable: layer groups that train, see `freeze`; all others stay frozen, and in eval mode
            even after `train()`.
        restyled_layer: `layer1` as in FAMix, or `stem`, `layer2`, `layer3`.
        attention_pool: keep CLIP's attention pooling, which `embed` needs and segmentation does
            not.
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
        self._low_layers = LAYERS[: LAYERS.index(restyled_layer) + 1]
        self.restyled = FEATURES[len(self._low_layers) - 1]
        self._frozen = freeze(tower, trainable=trainable)  # in a list, which registers no module
        blocks = (getattr(tower, layer)[-1] for layer in BLOCK_LAYERS)
        widths = [tower.conv3.out_channels, *(block.conv3.out_channels for block in blocks)]
        self._output_shape = {
            name: ShapeSpec(channels=width, stride=min(stride, output_stride))
            for name, width, stride in zip(FEATURES, widths, STRIDES, strict=True)
        }

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """The layers up to and including the restyled one.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            All features up to `restyled`, each (N, C, H/stride, W/stride).
        """
        return self._run({}, images, self._low_layers)

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The layers after the restyled one.

        Args:
            low: features of `forward_low`, restyled or not.

        Returns:
            `low` and all later features.
        """
        return self._run(low, low[self.restyled], LAYERS[len(self._low_layers) :])

    def _run(
        self, known: Mapping[str, Tensor], x: Tensor, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        features = dict(known)
        for layer in layers:
            x = getattr(self.tower, layer)(x)
            features[FEATURES[LAYERS.index(layer)]] = x
        return features

    def embed(self, high: Tensor) -> Tensor:
        """CLIP's image embedding (N, D), not normalised; needs the attention pooling.

        Args:
            high: (N, C, `embedding_side`, `embedding_side`), the high-level features at stride 32
                of images of CLIP's input size.
        """
        return self.tower.attnpool(high)

    @property
    def embedding_side(self) -> int:
        """Height and width of the high-level features that `embed` takes; 7 in CLIP RN50."""
        positions = len(self.tower.attnpool.positional_embedding) - 1  # without the mean token
        return isqrt(positions)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """All features of normalised images (N, 3, H, W), without restyling."""
        return self.forward_high(self.forward_low(x))

    @property
    def restyled_channels(self) -> int:
        """Channels of the restyled features."""
        return int(self._output_shape[self.restyled].channels)

    @property
    def whole_clip_fingerprint(self) -> str | None:
        """Fingerprint of the whole CLIP, set by `load_clip`; None if it loaded no weights."""
        return getattr(self.tower, "whole_clip_fingerprint", None)

    def low_state(self) -> dict[str, Tensor]:
        """Parameters and buffers up to the restyled layer, by group and index of the module."""
        return {
            f"{group}.{k}.{name}": value
            for group, modules in layer_groups(self.tower).items()
            if group.partition(".")[0] in self._low_layers
            for k, module in enumerate(modules)
            for name, value in module.state_dict(keep_vars=True).items()
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of `stem` and of `res2` to `res5`."""
        return dict(self._output_shape)

    def train(self, mode: bool = True) -> "ClipResNet":
        """As `nn.Module.train`, but frozen layers stay in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self
