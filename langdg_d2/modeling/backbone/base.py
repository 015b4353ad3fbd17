"""Base classes of backbones.

As in Detectron2, features are named `res2` to `res5` for the strides 4 to 32, and `output_shape()`
returns their channels and strides.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import detectron2.modeling
from torch import Tensor, nn

from .freezing import freeze


def identity(features: Tensor) -> Tensor:
    """Return the features unchanged."""
    return features


class Backbone(detectron2.modeling.Backbone):
    """A backbone split where features are restyled (paper section 4).

    Subclasses set `restyled`, `restyled_layer` and the attributes that Detectron2's
    `output_shape()` reads, and call `freeze` after building their layers.

    Attributes:
        restyled: name of the features at the split, a key of `output_shape()`.
        restyled_layer: name of the layer that computes them; banks record it.
        restyle_activation: activation that ends the layer, applied after restyling: ReLU in
            ResNets, the identity in layers without a final activation.
    """

    restyled: str
    restyled_layer: str
    restyle_activation: Callable[[Tensor], Tensor] = staticmethod(identity)

    @abstractmethod
    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of normalised images (N, 3, H, W) up to the restyled ones."""

    @abstractmethod
    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute all features from those of `forward_low`, which may be restyled."""

    @abstractmethod
    def low_state(self) -> dict[str, Tensor]:
        """Return the parameters and buffers of the layers up to the restyled features."""

    @abstractmethod
    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """Partition the modules with parameters into named groups, from input to output."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute all features of normalised images (N, 3, H, W) without restyling."""
        return self.forward_high(self.forward_low(x))

    @property
    def whole_clip_fingerprint(self) -> str | None:
        """Fingerprint of the whole CLIP; None if none was loaded."""
        return None

    @property
    def restyled_channels(self) -> int:
        """Number of channels of the restyled features."""
        return int(self.output_shape()[self.restyled].channels)

    def freeze(self, *, trainable: Sequence[str]) -> None:
        """Freeze all layer groups except `trainable`; see `freezing.freeze`."""
        self._frozen = freeze(
            self.layer_groups(), trainable=trainable
        )  # a list, so that they are not registered twice

    def train(self, mode: bool = True) -> "Backbone":
        """Like `nn.Module.train`, but frozen layers stay in eval mode."""
        super().train(mode)
        for module in getattr(self, "_frozen", ()):
            module.eval()
        return self


class TextAlignedBackbone(Backbone):
    """A backbone that shares an embedding space with a text encoder, like CLIP.

    Attributes:
        embedding_side: height and width of the high-level features that `embed` needs; None for any
            size.
    """

    @property
    @abstractmethod
    def embedding_side(self) -> int | None: ...

    @abstractmethod
    def embed(self, high: Tensor) -> Tensor:
        """Compute unnormalised embeddings (N, D) of the last features (N, C, h, w)."""
