"""The interface of backbones."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.layers import ShapeSpec
from torch import nn

__all__ = ["Backbone"]


class Backbone(nn.Module, metaclass=ABCMeta):
    """A network from images to named feature maps."""

    _out_features: Sequence[str]
    _out_feature_channels: Mapping[str, int]
    _out_feature_strides: Mapping[str, int]

    @abstractmethod
    def forward(self, *args: Any) -> Any:
        """(N, C, H, W) images → a dict of feature maps by name, e.g. "res4"."""

    @property
    def size_divisibility(self) -> int:
        """What the height and width of images must be multiples of; 0 if they are free."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """The same and more, as ``ImageList.from_tensors`` takes it; {} if there is nothing."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every feature map, by name.

        Made from ``_out_features``, ``_out_feature_channels`` and ``_out_feature_strides``, which
        a subclass sets, or overrides this method.
        """
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }
