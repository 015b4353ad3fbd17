"""Where target styles come from: a mined bank, class by class, and the paper's alternatives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..modeling import ClipResNet
from ..structures import ChannelStats, PatchGrid
from .bank import StyleBank
from .checking import check_bank
from .drawing import StyleDrawer


class TargetStyles(NamedTuple):
    """Styles for the patches of a batch.

    Attributes:
        stats: mean and std (N, C, rows, cols).
        fallback: (N, rows, cols) bool: the patch's class has no style, another's was taken.
    """

    stats: ChannelStats
    fallback: Tensor


class StyleSource(ABC):
    """Gives every patch a style to be mixed with its own."""

    @abstractmethod
    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> TargetStyles:
        """Styles for patches of given statistics (N, C, rows, cols) and classes (N, rows, cols).

        Randomness: a CPU generator, which advances.
        """

    @abstractmethod
    def describe(self) -> str:
        """What these styles are, in Markdown."""

    def record(self) -> dict[str, Any]:
        """What these styles are, for the record of a run: JSON types."""
        return {"description": self.describe()}

    @abstractmethod
    def prepare(self, backbone: ClipResNet) -> None:
        """Check that the styles fit a backbone and move them to its device; called once."""


class BankStyles(StyleSource):
    """A mined style of the patch's own class, drawn uniformly (paper section 4.3).

    Args:
        bank: the mined styles.
        grid: patches of training; those the bank was mined for have to be the same.
        class_names: name of every train id, likewise.
        ignore_label: likewise.

    Raises:
        StyleBankError: if the bank was mined for others; lists the differences.
    """

    def __init__(
        self, *, bank: StyleBank, grid: PatchGrid, class_names: Sequence[str], ignore_label: int
    ) -> None:
        bank.check(grid=(grid.rows, grid.cols), class_names=class_names, ignore_label=ignore_label)
        self._use(bank)

    def _use(self, bank: StyleBank) -> None:
        self.bank = bank
        # A class that was the majority of no mined patch will hardly be one in training: falling
        # back on other styles, which the logged share shows, beats refusing a small source set.
        self._drawer = StyleDrawer(bank=bank, classes=())

    def describe(self) -> str:
        """Where the bank's styles come from, and its table."""
        return f"{self.bank.header.describe()}\n\n{self.bank.describe()}"

    def record(self) -> dict[str, Any]:
        """The bank's own header, not what the config says, and how many styles there are."""
        return {**asdict(self.bank.header), "number_of_styles": len(self.bank)}

    def prepare(self, backbone: ClipResNet) -> None:
        check_bank(self.bank, backbone)
        self._use(self.bank.to(next(backbone.parameters()).device))

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> TargetStyles:
        drawn = self._drawer.draw(patch_classes, generator=generator)
        return TargetStyles(_rows(self.bank, drawn.index), drawn.fallback)


class PooledBankStyles(BankStyles):
    """Ablation: a mined style of whatever class."""

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> TargetStyles:
        index = torch.randint(len(self.bank), patch_classes.shape, generator=generator)
        index = index.to(patch_classes.device, non_blocking=True)
        fallback = torch.zeros_like(patch_classes, dtype=torch.bool)
        return TargetStyles(_rows(self.bank, index), fallback)


class NoiseStyles(StyleSource):
    """Ablation: the patch's own statistics under Gaussian noise, without any text.

    Args:
        snr_db: signal-to-noise ratio in decibel, of the vector of means and of that of stds.
    """

    def __init__(self, *, snr_db: float) -> None:
        self._snr_db = snr_db
        self._noise_to_signal = 10.0 ** (-snr_db / 20)  # of amplitudes

    def describe(self) -> str:
        """One sentence."""
        return f"Gaussian noise at {self._snr_db} dB in place of mined styles."

    def prepare(self, backbone: ClipResNet) -> None:
        """Noise fits everything."""

    def draw(
        self, own: ChannelStats, patch_classes: Tensor, *, generator: torch.Generator
    ) -> TargetStyles:
        stats = ChannelStats(*(self._perturb(value, generator) for value in own))
        return TargetStyles(stats, torch.zeros_like(patch_classes, dtype=torch.bool))

    def _perturb(self, value: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(value.shape, generator=generator).to(value, non_blocking=True)
        signal = value.square().mean(dim=1, keepdim=True).sqrt()
        return value + self._noise_to_signal * signal * noise


def _rows(bank: StyleBank, index: Tensor) -> ChannelStats:
    """Rows of the bank for an index (N, rows, cols), as (N, C, rows, cols)."""
    return ChannelStats(bank.mean[index].permute(0, 3, 1, 2), bank.std[index].permute(0, 3, 1, 2))
