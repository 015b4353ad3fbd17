"""Mix (paper section 4.3): blend each patch's own style with another in training."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..modeling import FeatureAugmentation
from ..structures import PatchGrid, mix, patch_stats, restyle
from ..utils.errors import LangDGError
from .sources import StyleSource


class WeightSampler(Protocol):
    """Draws how much of its own style a patch keeps, in 0..1."""

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        """(images, channels, 1, 1), on the CPU."""


class BetaWeights:
    """`Beta(a, b)` for each image and channel, shared by the image's patches; 0.1, 0.1 in FAMix."""

    def __init__(self, *, a: float, b: float) -> None:
        if a <= 0 or b <= 0:
            raise LangDGError(f"Beta({a}, {b}) needs two positive parameters")
        self._parameters = (a, b)

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        # torch's public Beta takes no generator, NumPy's does.
        seed = int(torch.randint(torch.iinfo(torch.int64).max, (), generator=generator))
        weights = np.random.default_rng(seed).beta(*self._parameters, size=(images, channels, 1, 1))
        return torch.from_numpy(weights).float()


class ConstantWeights:
    """The same weight everywhere; 0 replaces every style, as "no mixing" in the ablation."""

    def __init__(self, *, value: float) -> None:
        if not 0 <= value <= 1:
            raise LangDGError(f"weight {value} must be in 0..1")
        self._value = value

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        return torch.full((images, channels, 1, 1), float(self._value))


@dataclass
class MixStatistics:
    """Sums over restyled batches.

    Attributes:
        images: all of them.
        patches: all of them.
        restyled: patches of the images that were chosen to be restyled.
        weight: over images, the mean over channels of the weight drawn.
        fallback: patches whose class has no style; a tensor that has not been waited for.
    """

    images: int = 0
    patches: int = 0
    restyled: int = 0
    weight: float = 0.0
    fallback: Tensor | int = 0

    def add(self, chosen: Tensor, weight: Tensor, fallback: Tensor) -> None:
        """Count a batch: images chosen (N,), weights (N, C, 1, 1), fallbacks (N, rows, cols)."""
        self.images += len(chosen)
        self.patches += fallback.numel()
        self.restyled += int(chosen.sum()) * fallback[0].numel()
        self.weight += float(weight.mean(1).sum())
        self.fallback = self.fallback + fallback.sum()

    def merge(self, other: "MixStatistics") -> None:
        """Add the sums of others."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def restyled_share(self) -> float:
        """Share of patches that were restyled, in 0..1; NaN before the first."""
        return self.restyled / self.patches if self.patches else math.nan

    @property
    def mean_weight(self) -> float:
        """Mean share of the own style, in 0..1; NaN before the first."""
        return self.weight / self.images if self.images else math.nan

    @property
    def fallback_share(self) -> float:
        """Share of patches whose class had no style, in 0..1; waits for the device."""
        return float(self.fallback) / self.patches if self.patches else math.nan


class PatchStyleMixer(FeatureAugmentation):
    """Restyles every patch with a mixture of its own style and one drawn for its class.

    Args:
        grid: patches; the mapper must have found their classes with the same one.
        styles: where the other style comes from.
        weights: share of the own style.
        probability: that an image is restyled, in 0..1.

    Attributes:
        probability: hooks may change it.
        generator: state of the randomness, a CPU generator.
        statistics: what has happened since it was last replaced, for logging.
    """

    def __init__(
        self,
        *,
        grid: PatchGrid,
        styles: StyleSource,
        weights: WeightSampler,
        probability: float = 1.0,
    ) -> None:
        if not 0 <= probability <= 1:
            raise LangDGError(f"probability {probability} of restyling must be in 0..1")
        self._grid = grid
        self.styles = styles
        self._weights = weights
        self.probability = probability
        self.generator = torch.Generator()
        self.statistics = MixStatistics()

    def __call__(self, features: Tensor, patch_classes: Tensor | None) -> Tensor:
        """Restyle a batch.

        Raises:
            LangDGError: if there are no patch classes, or not those of this grid.
        """
        classes = self._require_classes(features, patch_classes)
        images, channels = features.shape[:2]
        chosen = torch.rand(images, generator=self.generator) < self.probability
        weight = self._weights(images, channels, self.generator)
        own = patch_stats(features, self._grid)
        target, fallback = self.styles.draw(own, classes, generator=self.generator)
        self.statistics.add(chosen, weight, fallback)

        # An image that is not restyled keeps its own style in every channel.
        weight = torch.where(chosen[:, None, None, None], weight, 1.0)
        weight = weight.to(own.mean, non_blocking=True)
        return restyle(features, own=own, target=mix(own, target, weight), grid=self._grid)

    def _require_classes(self, features: Tensor, patch_classes: Tensor | None) -> Tensor:
        expected = (len(features), self._grid.rows, self._grid.cols)
        if patch_classes is None or tuple(patch_classes.shape) != expected:
            found = None if patch_classes is None else tuple(patch_classes.shape)
            raise LangDGError(
                f"patch classes are {found}, expected {expected}: give the training mapper the "
                "same patch grid"
            )
        return patch_classes
