"""Backbones that consist of a stem and stages."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar

from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ...utils.errors import LangDGError
from .base import TextAlignedBackbone

# Detectron2's names of the outputs.
FEATURES = ("stem", "res2", "res3", "res4", "res5")


class StagedBackbone(TextAlignedBackbone):
    """A CLIP tower with a stem and four stages, split after one of them.

    Args:
        tower: image tower, owned by this module.
        shapes: channels and stride of the features of stem and stages.
        trainable: layer groups to train, see `freezing.freeze`; all others stay frozen, and in eval
            mode even after `train()`.
        restyled_layer: stem or stage to split after, except the last.

    Attributes:
        stages: names of the stem and the stages in the tower.
    """

    stages: ClassVar[tuple[str, ...]]
    tower: Any

    def __init__(
        self,
        *,
        tower: nn.Module,
        shapes: Sequence[ShapeSpec],
        trainable: Sequence[str],
        restyled_layer: str,
    ) -> None:
        super().__init__()
        if restyled_layer not in self.stages[:-1]:
            raise LangDGError(
                f"restyled_layer '{restyled_layer}' must be one of {self.stages[:-1]}"
            )
        self.tower = tower
        self.restyled_layer = restyled_layer
        cut = self.stages.index(restyled_layer)
        self.restyled = FEATURES[cut]
        named = list(zip(FEATURES, self.stages, strict=True))
        self._low, self._high = named[: cut + 1], named[cut + 1 :]
        self._output_shape = dict(zip(FEATURES, shapes, strict=True))
        self.freeze(trainable=trainable)

    def forward_low(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the stages up to and including the restyled one.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            All features up to `restyled`, each (N, C, H/stride, W/stride).
        """
        return self._run({}, images, self._low)

    def forward_high(self, low: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the stages after the restyled one.

        Args:
            low: features of `forward_low`, restyled or not.

        Returns:
            `low` and all later features.
        """
        return self._run(low, low[self.restyled], self._high)

    def _run(
        self, known: Mapping[str, Tensor], x: Tensor, stages: Sequence[tuple[str, str]]
    ) -> dict[str, Tensor]:
        features = dict(known)
        for feature, stage in stages:
            x = features[feature] = self._stage(stage)(x)
        return features

    def _stage(self, name: str) -> Callable[[Tensor], Tensor]:
        stage: Callable[[Tensor], Tensor] = attrgetter(name)(self.tower)
        return stage

    @property
    def whole_clip_fingerprint(self) -> str | None:
        """Fingerprint of the whole CLIP, set by `load_clip`; None if it loaded no weights."""
        return getattr(self.tower, "whole_clip_fingerprint", None)

    def low_state(self) -> dict[str, Tensor]:
        """Return the parameters and buffers up to the restyled stage, by group and module index."""
        low = {stage for _, stage in self._low}
        return {
            f"{group}.{k}.{name}": value
            for group, modules in self.layer_groups().items()
            if low & {group, group.rpartition(".")[0]}
            for k, module in enumerate(modules)
            for name, value in module.state_dict(keep_vars=True).items()
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and strides of `stem` and of `res2` to `res5`."""
        return dict(self._output_shape)
