"""Drawing a mined style for every patch of a batch, uniformly among those of its class."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from .bank import StyleBank
from .bank_header import IGNORE, StyleBankError

_LABELS = 1 << 8  # patch classes are 8-bit
_DRAWS = 1 << 62  # so many that what the remainder favours cannot be seen


@dataclass(frozen=True, kw_only=True)
class DrawnStyles:
    """The styles drawn for patches, of the shape of their classes.

    Attributes:
        index: (...,) int64, row of the bank.
        fallback: (...,) bool, the patch's label has no style of its own and got another's.
    """

    index: Tensor
    fallback: Tensor


class StyleDrawer:
    """Draws styles from a bank; holds index tables only, on the bank's device."""

    def __init__(self, *, bank: StyleBank, classes: Collection[str] | None = None) -> None:
        """
        Args:
            bank: what to draw from.
            classes: what patches may show, names of classes or "ignore"; None for all classes.

        Raises:
            StyleBankError: if one of them has no style and the bank has none for unlabelled
                patches either, if the bank does not know it, or if the bank is empty.
        """
        labels, counts = bank.header.labels, bank.counts()
        needed = bank.header.class_names if classes is None else classes
        if unknown := [name for name in needed if name not in counts]:
            raise StyleBankError(f"the style bank has no class {unknown}; it has {list(counts)}")
        lacking = [name for name in needed if not counts[name]]
        if not len(bank) or (lacking and not counts[IGNORE]):
            raise StyleBankError(
                f"the style bank ({len(bank)} styles) has none for {lacking}, and none for "
                f"'{IGNORE}' to fall back on; mine more images with tools/mine_styles.py, merge "
                "banks, or name the classes that do occur"
            )
        self._order = torch.argsort(bank.class_id, stable=True)  # rows of the bank by label
        self._count = torch.bincount(bank.class_id.long(), minlength=_LABELS)
        self._first = self._count.cumsum(0) - self._count  # each label's place in the order
        self._fallback = self._count == 0
        if counts[IGNORE]:
            self._first[self._fallback] = self._first[labels[IGNORE]]
            self._count[self._fallback] = counts[IGNORE]
        else:
            self._first[self._fallback] = 0
            self._count[self._fallback] = len(bank)

    def draw(
        self, patch_classes: Tensor, *, generator: torch.Generator | None = None
    ) -> DrawnStyles:
        """One style for every patch, each drawn alone, without waiting for the device.

        A label without styles gets one of the unlabelled patches' (FAMix does the same); where
        the bank has none of these either, which concerns unlabelled patches and classes it was
        told not to expect, any style of the bank.

        Args:
            patch_classes: (...) uint8, on the bank's device.
            generator: of this device, or of the CPU: then a seed gives the same styles on every
                device. None for the device's default. Advances.

        Raises:
            TypeError: for labels of other types.
        """
        if patch_classes.dtype != torch.uint8:
            raise TypeError(f"patch classes are {patch_classes.dtype}, expected uint8 train ids")
        device = patch_classes.device
        label = patch_classes.long()
        numbers = torch.randint(
            _DRAWS,
            label.shape,
            generator=generator,
            device=device if generator is None else generator.device,
        ).to(device, non_blocking=True)
        place = self._first[label] + numbers % self._count[label]
        return DrawnStyles(index=self._order[place], fallback=self._fallback[label])
