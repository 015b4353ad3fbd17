"""CLIP's ModifiedResNet as a Detectron2 backbone, cut where FAMix restyles features.

Paper section 4: stem and `layer1` give the low-level features (stride 4) whose style is augmented;
`layer2` to `layer4` turn them into the high-level features.
"""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import cast

from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import Tensor, nn

from ...utils.errors import LangDGError
from ..folding import Folds
from .attention_pool import attention_pool
from .freezing import FrozenLayers
from .layers import BLOCK_LAYERS, FEATURES, HIGH_LEVEL, LAYERS, LOW_LEVEL, STRIDES
from .output_stride import DilationPattern, set_output_stride


class ClipResNet(Backbone):
    """Image tower of a ResNet CLIP, in three steps: `forward_low`, `forward_high`, `embed`.

    Between the first two lie the features whose style is augmented.

    Attributes:
        restyled_layer: whose output that is.
        restyled: the output's name among the features.
        folds: of the layers, see `fold`.

    Args:
        tower: as returned by `load_image_tower`; this module takes it over and changes it.
        output_stride: of the high-level features: 8, 16, or 32 (CLIP's own).
        dilation: how strides become dilation, see `set_output_stride`.
        trainable: layer groups that train, see `FrozenLayers`; all others stay frozen, in eval
            mode even after `train()`.
        restyled_layer: whose output is restyled: `layer1` in FAMix; `stem`, `layer2`, `layer3`.
        attention_pool: keep CLIP's attention pooling, which `embed` needs. Segmentation does not,
            and saves its parameters.
    """

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
        if not attention_pool:
            tower.attnpool = None
        self.tower = tower
        self.restyled_layer = restyled_layer
        self.restyled = FEATURES[LAYERS.index(restyled_layer)]
        self._frozen = FrozenLayers(tower, trainable=trainable)
        self.folds = Folds(tower)
        self._output_shape = {
            LOW_LEVEL: ShapeSpec(channels=_width(tower.layer1), stride=STRIDES[1]),
            HIGH_LEVEL: ShapeSpec(channels=_width(tower.layer4), stride=output_stride),
        }

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """The layers up to and including the restyled one.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            `{restyled: features}` (N, C, ~H/stride, ~W/stride), and `res2` if that lies before.
        """
        split = FEATURES.index(self.restyled) + 1
        return self._run({}, images, range(split))

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The layers after the restyled one.

        Args:
            low: what `forward_low` gave, its restyled features as they are or restyled.

        Returns:
            `res2`, in training thus in the style that the later layers see, and `res5`.
        """
        split = FEATURES.index(self.restyled) + 1
        return self._run(low, low[self.restyled], range(split, len(FEATURES)))

    def _run(self, known: Mapping[str, Tensor], x: Tensor, layers: range) -> dict[str, Tensor]:
        features = dict(known)
        modules = self._layers
        for layer in layers:
            x = self.folds(LAYERS[layer], modules[layer], x)
            if FEATURES[layer] in (LOW_LEVEL, self.restyled, HIGH_LEVEL):
                features[FEATURES[layer]] = x
        return features

    @property
    def _layers(self) -> list[nn.Module]:
        tower = self.tower
        first, second = (tower.conv1, tower.bn1, tower.act1), (tower.conv2, tower.bn2, tower.act2)
        third = (tower.conv3, tower.bn3, tower.act3)
        stem = nn.Sequential(*first, *second, *third, tower.avgpool)
        return [stem, tower.layer1, tower.layer2, tower.layer3, tower.layer4]

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
        return attention_pool(self.tower.attnpool, high)

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
        return {
            "stem": self.tower.conv3.out_channels,
            **{layer: _width(getattr(self.tower, layer)) for layer in BLOCK_LAYERS},
        }[self.restyled_layer]

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of `res2` and `res5`."""
        return dict(self._output_shape)

    def train(self, mode: bool = True) -> "ClipResNet":
        """As `nn.Module.train`, but frozen layers stay in eval mode."""
        super().train(mode)
        self._frozen.keep_in_eval()
        return self


def _width(layer: nn.Sequential) -> int:
    last = cast("Bottleneck", layer[-1])
    return last.conv3.out_channels
