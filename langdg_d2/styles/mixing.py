"""Mix (paper section 4.3): blend the style of each patch with another one during training."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ..modeling import Backbone, FeatureAugmentation
from ..structures import ChannelStats, PatchGrid, mix, patch_stats, restyle
from ..utils.errors import LangDGError
from .bank import IGNORE, NUM_LABELS, StyleBank, StyleBankError

logger = logging.getLogger(__name__)

_DRAWS = 1 << 62  # makes the modulo bias negligible


class TargetStyles(ABC):
    """Base class of the styles that patches are mixed with."""

    @abstractmethod
    def prepare(self, backbone: Backbone) -> None:
        """Load the styles, check that they fit the backbone, and move them to its device.

        Called in every process before training, after mining.
        """

    @abstractmethod
    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> tuple[ChannelStats, Tensor]:
        """Draw a style for each patch of a batch.

        Args:
            own: statistics (N, C, rows, cols) of the patches.
            patch_classes: train ids (N, rows, cols) uint8.
            generator: CPU generator, which is advanced.

        Returns:
            Statistics (N, C, rows, cols), and a mask (N, rows, cols) bool of the patches whose
            class has no style, so that a fallback was used.
        """

    @abstractmethod
    def describe(self) -> str:
        """Describe the styles in one sentence, for reports."""

    def table(self) -> dict[str, list[Any]]:
        """Return a table of the styles by column; empty if there is none."""
        return {}

    def record(self) -> dict[str, Any]:
        """Return the record of the styles for results, in JSON types."""
        return {"description": self.describe()}


class BankStyles(TargetStyles):
    """Mined styles of the patch's own class, drawn uniformly (paper section 4.3).

    The bank must have the same grid, class names and ignore label.

    Args:
        bank: mined styles, or the path of their file, which `prepare` reads.
        grid: patch grid in training.
        class_names: name of each train id.
        ignore_label: train id of unlabelled patches.
        origin: `mining_origin` of this config, or None. A bank with another origin causes only a
            warning, because configs may share banks.

    Attributes:
        bank: mined styles on the model's device; set by `prepare`.
    """

    bank: StyleBank

    def __init__(
        self,
        *,
        bank: StyleBank | str | Path,
        grid: PatchGrid,
        class_names: Sequence[str],
        ignore_label: int,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self._given = bank
        self._expected: dict[str, Any] = {
            "grid": grid,
            "class_names": class_names,
            "ignore_label": ignore_label,
        }
        self._origin = origin or {}

    def prepare(self, backbone: Backbone) -> None:
        """See `TargetStyles`."""
        given = self._given
        bank = given if isinstance(given, StyleBank) else StyleBank.load(given)
        bank.check(backbone, **self._expected)
        lines = [
            line
            for part in bank.header.parts
            for line in part.differences(self._origin, other="this config")
        ]
        if lines:
            logger.warning(
                "the style bank '%s' was mined with other settings than those of this config; "
                "delete it to mine again, unless you share it on purpose:\n- %s",
                bank.header.source if bank is given else given,
                "\n- ".join(dict.fromkeys(lines)),  # parts of a merged bank may repeat them
            )
        self.bank = bank.to(next(iter(backbone.low_state().values())).device)
        self._sampler = StyleSampler(bank=self.bank)

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> tuple[ChannelStats, Tensor]:
        index, fallback = self._sampler.sample(patch_classes, generator=generator)
        return self._rows(index), fallback

    def describe(self) -> str:
        """Describe the origin of the bank's styles."""
        return self.bank.header.describe()

    def table(self) -> dict[str, list[Any]]:
        """Return `StyleBank.table` by column."""
        return self.bank.table().to_dict("list")

    def record(self) -> dict[str, Any]:
        """Return the header of the bank and the number of styles."""
        return {**asdict(self.bank.header), "number_of_styles": len(self.bank)}

    def _rows(self, index: Tensor) -> ChannelStats:
        """Select rows of the bank by an index (N, rows, cols), as (N, C, rows, cols)."""
        mean, std = self.bank.mean[index], self.bank.std[index]  # (N, rows, cols, C)
        return ChannelStats(mean.permute(0, 3, 1, 2), std.permute(0, 3, 1, 2))


class PooledBankStyles(BankStyles):
    """Ablation: mined styles of any class, drawn uniformly."""

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> tuple[ChannelStats, Tensor]:
        index = torch.randint(len(self.bank), patch_classes.shape, generator=generator)
        index = index.to(patch_classes.device, non_blocking=True)
        return self._rows(index), torch.zeros_like(patch_classes, dtype=torch.bool)


class NoiseStyles(TargetStyles):
    """Ablation: the patch's own statistics with Gaussian noise, without text.

    Args:
        snr_db: signal-to-noise ratio in decibels, for means and stds separately.
    """

    def __init__(self, *, snr_db: float) -> None:
        self._snr_db = snr_db
        self._noise_to_signal = 10.0 ** (-snr_db / 20)  # of amplitudes

    def prepare(self, backbone: Backbone) -> None:
        """Do nothing, because noise fits every backbone."""

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> tuple[ChannelStats, Tensor]:
        stats = ChannelStats(*(self._perturb(value, generator) for value in own))
        return stats, torch.zeros_like(patch_classes, dtype=torch.bool)

    def describe(self) -> str:
        """See `TargetStyles`."""
        return f"Gaussian noise at {self._snr_db} dB in place of mined styles."

    def _perturb(self, value: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(value.shape, generator=generator).to(value, non_blocking=True)
        signal = value.square().mean(dim=1, keepdim=True).sqrt()  # (N, 1, rows, cols)
        return value + self._noise_to_signal * signal * noise


class StyleSampler:
    """Draws a row of a bank for every patch, uniformly from the rows of its class.

    Classes without styles fall back to the styles of unlabelled patches, as in FAMix, or to all
    styles if there are none. This is not an error, because classes that dominate no mined patch
    rarely dominate a training patch; its frequency is logged.

    Args:
        bank: styles on the device of the patches.
    """

    def __init__(self, *, bank: StyleBank) -> None:
        if not len(bank):
            raise StyleBankError(
                "the style bank has 0 styles; mine more images with tools/mine_styles.py"
            )
        self._order = torch.argsort(bank.class_id, stable=True)  # rows of the bank by label
        self._count = torch.bincount(bank.class_id.long(), minlength=NUM_LABELS)
        self._first = self._count.cumsum(0) - self._count  # where each label begins in the order
        self._fallback = self._count == 0
        first, count = 0, len(bank)
        if unlabelled := bank.counts()[IGNORE]:
            first, count = int(self._first[bank.header.ignore_label]), unlabelled
        self._first[self._fallback] = first
        self._count[self._fallback] = count

    def sample(self, patch_classes: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw independently for every patch, without synchronising the device.

        Args:
            patch_classes: train ids (...) uint8 on the bank's device.
            generator: generator on this device, or on the CPU for the same styles on all devices;
                it is advanced.

        Returns:
            Rows of the bank (...) int64, and a mask (...) bool of patches whose class has no style.
        """
        device = patch_classes.device
        label = patch_classes.long()
        numbers = torch.randint(_DRAWS, label.shape, generator=generator, device=generator.device)
        offset = numbers.to(device, non_blocking=True) % self._count[label]
        return self._order[self._first[label] + offset], self._fallback[label]


class WeightSampler(Protocol):
    """Draws the weights of the patches' own styles, in 0..1."""

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        """Return weights (images, channels, 1, 1) on the CPU."""


class BetaWeights:
    """Weights from `Beta(a, b)` per image and channel, shared by its patches; 0.1, 0.1 in FAMix."""

    def __init__(self, *, a: float, b: float) -> None:
        if a <= 0 or b <= 0:
            raise LangDGError(f"the parameters of Beta({a}, {b}) must be positive")
        self._parameters = (a, b)

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        # Unlike NumPy's, torch's public Beta distribution accepts no generator.
        seed = int(torch.randint(torch.iinfo(torch.int64).max, (), generator=generator))
        weights = np.random.default_rng(seed).beta(*self._parameters, size=(images, channels, 1, 1))
        return torch.from_numpy(weights).float()


class ConstantWeights:
    """Constant weights; 0 replaces every style, for the ablation without mixing."""

    def __init__(self, *, value: float) -> None:
        if not 0 <= value <= 1:
            raise LangDGError(f"weight {value} must be in 0..1")
        self._value = value

    def __call__(self, images: int, channels: int, generator: torch.Generator) -> Tensor:
        return torch.full((images, channels, 1, 1), float(self._value))


class Restyling(NamedTuple):
    """Record of a restyled batch.

    Attributes:
        own, mixed: statistics (N, C, rows, cols) of the patches before and after restyling.
        patch_classes: train ids (N, rows, cols).
    """

    own: ChannelStats
    mixed: ChannelStats
    patch_classes: Tensor


class PatchStyleMixer(FeatureAugmentation):
    """Restyles every patch with a mixture of its own style and a drawn one.

    Args:
        grid: patch grid, which must be that of the mapper.
        styles: styles to draw from.
        weights: draws the weights of the patches' own styles.

    Attributes:
        probability: probability of restyling an image, in 0..1; set by `StyleAugmentationHook`.
        activation: see `Backbone.restyle_activation`; set by `prepare`.
        generator: CPU generator, seeded by `StyleAugmentationHook`.
        last: record of the last restyled batch, for pictures; None before the first.
        shares: scalar tensors in 0..1 for the last batch: `restyled_share` of images, `mean_weight`
            of the patches' own styles, `fallback_share` of patches whose class has no style.
    """

    def __init__(
        self,
        *,
        grid: PatchGrid,
        styles: TargetStyles,
        weights: WeightSampler,
    ) -> None:
        self._grid = grid
        self.styles = styles
        self._weights = weights
        self.probability = 1.0
        self.activation: Callable[[Tensor], Tensor] = torch.relu
        self.generator = torch.Generator()
        self.last: Restyling | None = None
        self.shares: dict[str, Tensor] = {}

    def prepare(self, backbone: Backbone) -> None:
        """Load the styles, check that they fit a backbone, and adopt its activation."""
        self.styles.prepare(backbone)
        self.activation = backbone.restyle_activation

    def __call__(self, features: Tensor, patch_classes: Tensor | None) -> Tensor:
        """Restyle a batch.

        Args:
            features: (N, C, H, W) features of the restyled layer.
            patch_classes: train ids (N, rows, cols) uint8 of the patches.
        """
        images, channels = features.shape[:2]
        expected = (images, self._grid.rows, self._grid.cols)
        if patch_classes is None or patch_classes.shape != expected:
            found = None if patch_classes is None else tuple(patch_classes.shape)
            raise LangDGError(
                f"patch classes are {found}, expected {expected}: give the training "
                "mapper the same patch grid"
            )
        chosen = torch.rand(images, generator=self.generator) < self.probability
        weight = self._weights(images, channels, self.generator)
        own = patch_stats(features, self._grid)
        target, fallback = self.styles.draw(own, patch_classes, generator=self.generator)
        # An image that is not restyled keeps its own style in every channel.
        weight = torch.where(chosen[:, None, None, None], weight, 1.0)
        self.shares = {
            "restyled_share": chosen.float().mean(),
            "mean_weight": weight.mean(),
            "fallback_share": fallback.float().mean(),
        }
        weight = weight.to(own.mean, non_blocking=True)
        mixed = mix(own, target, weight)
        self.last = Restyling(
            own=ChannelStats(*map(Tensor.detach, own)),
            mixed=ChannelStats(*map(Tensor.detach, mixed)),
            patch_classes=patch_classes,
        )
        return restyle(
            features,
            own=own,
            target=mixed,
            grid=self._grid,
            activation=self.activation,
        )
