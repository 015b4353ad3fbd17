"""Networks that turn images into feature maps."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry
from torch import nn

__all__ = ["BACKBONE_REGISTRY", "Backbone"]

# Called with a config and the ShapeSpec of images.
BACKBONE_REGISTRY = Registry("BACKBONE")


class Backbone(nn.Module, metaclass=ABCMeta):
    """A network from images to feature maps by name, such as "res4"."""

    _out_features: Sequence[str]
    _out_feature_channels: Mapping[str, int]
    _out_feature_strides: Mapping[str, int]

    @abstractmethod
    def forward(self, *args: Any) -> Any:
        """(N, C, H, W) images → feature maps by name."""

    @property
    def size_divisibility(self) -> int:
        """What heights and widths of images must be multiples of; 0 if anything will do."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """The same and more, as `ImageList.from_tensors` takes it."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and strides by name, made of the attributes above, which a subclass sets."""
        channels, strides = self._out_feature_channels, self._out_feature_strides
        return {
            name: ShapeSpec(channels=channels[name], stride=strides[name])
            for name in self._out_features
        }
