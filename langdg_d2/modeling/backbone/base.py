"""Interfaces of backbones, so that any tower can replace CLIP's.

Both extend Detectron2's `Backbone`: features are named `res2` to `res5`, and `output_shape()` gives
their channels and strides.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from detectron2.layers import ShapeSpec
from torch import Tensor


class Backbone(Protocol):
    """A tower split where features are restyled (paper section 4).

    Attributes:
        restyled: name of the features at the split, one of `output_shape()`.
        restyled_layer: the tower's own name of the layer that computes them; banks record it.
        restyled_channels: their number of channels.
        restyle_activation: applied after restyling, as the layer itself ends: ReLU in ResNets, the
            identity in layers without a final activation.
        whole_clip_fingerprint: fingerprint of the whole CLIP; None if none was loaded.
        size_divisibility: the sides of images must be multiples of it; 0 for no constraint.
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
        """Features of normalised images (N, 3, H, W), up to the restyled ones."""

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All features, from those of `forward_low`, restyled or not."""

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of all features."""

    def low_state(self) -> dict[str, Tensor]:
        """Parameters and buffers of the layers up to the restyled features."""


class TextAlignedBackbone(Backbone, Protocol):
    """A backbone that embeds images where texts are embedded, as CLIP does.

    Attributes:
        embedding_side: height and width of the high-level features that `embed` takes.
    """

    @property
    def embedding_side(self) -> int: ...

    def embed(self, high: Tensor) -> Tensor:
        """Embeddings (N, D), not normalised, of the last features (N, C, h, w)."""
