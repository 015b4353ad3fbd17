"""Base classes of backbones, so that any tower can replace CLIP's ResNets.

As with every backbone of Detectron2, features have names, `res2` to `res5` where they have the
strides 4 to 32, and `output_shape()` gives their channels and strides.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import detectron2.modeling
from torch import Tensor, nn

from .freezing import freeze


def identity(features: Tensor) -> Tensor:
    """The features themselves."""
    return features


class Backbone(detectron2.modeling.Backbone):
    """A tower split where features are restyled (paper section 4).

    Subclasses set `restyled`, `restyled_layer` and what Detectron2's `output_shape()` reads, and
    call `freeze` when their layers exist.

    Attributes:
        restyled: name of the features at the split, one of `output_shape()`.
        restyled_layer: the tower's own name of the layer that computes them; banks record it.
        restyle_activation: applied after restyling, as the layer itself ends: ReLU in ResNets, the
            identity in layers without a final activation.
    """

    restyled: str
    restyled_layer: str
    restyle_activation: Callable[[Tensor], Tensor] = staticmethod(identity)

    @abstractmethod
    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """Features of normalised images (N, 3, H, W), up to the restyled ones."""

    @abstractmethod
    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All features, from those of `forward_low`, restyled or not."""

    @abstractmethod
    def low_state(self) -> dict[str, Tensor]:
        """Parameters and buffers of the layers up to the restyled features."""

    @abstractmethod
    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """Partition of the modules with parameters, from input to output, by names for `freeze`."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """All features of normalised images (N, 3, H, W), without restyling."""
        return self.forward_high(self.forward_low(x))

    @property
    def whole_clip_fingerprint(self) -> str | None:
        """Fingerprint of the whole CLIP; None if none was loaded."""
        return None

    @property
    def restyled_channels(self) -> int:
        """Channels of the restyled features."""
        return int(self.output_shape()[self.restyled].channels)

    def freeze(self, *, trainable: Sequence[str]) -> None:
        """Freeze all layer groups but some; see `freezing.freeze`."""
        self._frozen = freeze(self.layer_groups(), trainable=trainable)  # in a list: not registered

    def train(self, mode: bool = True) -> "Backbone":
        """As `nn.Module.train`, but frozen layers stay in eval mode."""
        super().train(mode)
        for module in getattr(self, "_frozen", ()):
            module.eval()
        return self


class TextAlignedBackbone(Backbone):
    """A backbone that embeds images where texts are embedded, as CLIP does.

    Attributes:
        embedding_side: height and width of the high-level features that `embed` takes; None for any
            size.
    """

    @property
    @abstractmethod
    def embedding_side(self) -> int | None: ...

    @abstractmethod
    def embed(self, high: Tensor) -> Tensor:
        """Embeddings (N, D), not normalised, of the last features (N, C, h, w)."""
