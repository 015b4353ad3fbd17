"""Interface of backbones, so that any tower can replace CLIP's.

Both protocols describe a Detectron2 `Backbone`: features by the names `res2` to `res5`, their
channels and strides by `output_shape()`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from detectron2.layers import ShapeSpec
from torch import Tensor


class Backbone(Protocol):
    """A tower cut in two, where features are restyled (paper section 4).

    Attributes:
        restyled: name of the features in between, one of `output_shape()`.
        restyled_layer: the tower's own name of the layer that computes them; banks record it.
        restyled_channels: number of channels of these features.
        restyle_activation: applied to restyled features, as at the end of the layer itself: ReLU in
            ResNets, the identity where layers end without activation.
        whole_clip_fingerprint: fingerprint of the whole CLIP; None if none was loaded.
        size_divisibility: divisor that the images' sides need, 0 for none.
    """

    restyled: str
    restyled_layer: str
    restyle_activation: Callable[[Tensor], Tensor]

    @property
    def restyled_channels(self) -> int: ...

    @property
    def whole_clip_fingerprint(self) -> str | None: ...

    @property
    def size_divisibility(self) -> int: ...

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """Features up to the restyled ones of normalised images (N, 3, H, W)."""

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All features, from what `forward_low` gave, restyled or not."""

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of all features."""

    def low_state(self) -> dict[str, Tensor]:
        """Parameters and buffers of the layers up to the restyled features."""


class TextAlignedBackbone(Backbone, Protocol):
    """A backbone whose embeddings of images can be compared with those of texts.

    Attributes:
        embedding_side: height and width of the high-level features that `embed` takes.
    """

    @property
    def embedding_side(self) -> int: ...

    def embed(self, high: Tensor) -> Tensor:
        """Embeddings (N, D), not normalised, of the last features (N, C, h, w)."""
