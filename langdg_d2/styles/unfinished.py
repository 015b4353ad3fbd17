"""A bank in the making: saved on the way, taken up again, put together from all processes."""

import logging
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from detectron2.utils import comm

from .bank import StyleBank
from .bank_header import BankHeader, StyleBankError, bullets
from .processes import shared_errors

logger = logging.getLogger(__name__)

_DONE = "batches"  # settings of an unfinished bank: numbers of its batches, in its order
_SIZES = "styles_of_batches"  # and how many styles each gave


@dataclass
class Unfinished:
    """This process's share of a bank in the making.

    Attributes:
        header: of the bank.
        path: of its file.
        period: batches between savings.

    Raises:
        ValueError: if the period is not positive.
    """

    header: BankHeader
    path: Path
    period: int

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"checkpoint_period {self.period} must be at least one batch")
        self._banks: dict[int, StyleBank] = {}  # by number of the batch
        self._file = self._part(comm.get_rank())

    def _part(self, rank: int) -> Path:
        return self.path.with_name(f"{self.path.name}.part{rank}")

    def take_up(self) -> set[int]:
        """Read what an interrupted run has left; returns the numbers of its batches."""
        with shared_errors():
            if comm.is_main_process():
                self._collect()
        return set(comm.all_gather(set(self._banks))[0])

    def _collect(self) -> None:
        """Make one file of those of all processes."""
        files = sorted(self.path.parent.glob(f"{self.path.name}.part*"))
        for file in files:
            self._banks.update(_by_batch(StyleBank.load(file), self.header, file))
        self.save()
        for file in files:
            if file != self._file:
                file.unlink()

    def add(self, number: int, bank: StyleBank) -> None:
        """Keep a batch's styles, and save if it is time."""
        self._banks[number] = bank
        if len(self._banks) % self.period == 0:
            self.save()
            done = len(self._banks)
            logger.info("%d batches mined, mean cosine %.3f", done, bank.cosine_after.mean())

    def save(self) -> None:
        """Write this process's share."""
        if self._banks:
            sizes = [len(bank) for bank in self._banks.values()]
            extra = {_DONE: list(self._banks), _SIZES: sizes}
            settings = dict(self.header.settings) | extra
            bank = StyleBank.merge(list(self._banks.values()))
            replace(bank, header=replace(self.header, settings=settings)).save(self._file)

    def finish(self) -> None:
        """Put all processes' shares together in the order of the batches."""
        with shared_errors():
            self.save()
        shares = comm.gather(self._banks)
        with shared_errors():
            if comm.is_main_process():
                every = {number: bank for share in shares for number, bank in share.items()}
                bank = StyleBank.merge([every[number] for number in sorted(every)])
                bank.save(self.path)
                logger.info("%d styles in '%s'\n%s", len(bank), self.path, bank.describe())
        self._file.unlink(missing_ok=True)


def _by_batch(bank: StyleBank, header: BankHeader, file: Path) -> dict[int, StyleBank]:
    """Cut an unfinished bank into its batches."""
    settings = dict(bank.header.settings)
    numbers, sizes = settings.pop(_DONE, []), settings.pop(_SIZES, [])
    if differences := header.differences(
        vars(replace(bank.header, settings=settings)), other="the unfinished work"
    ):
        raise StyleBankError(
            f"'{file}' is unfinished mining with other settings; delete it, or choose another "
            f"path for the bank:{bullets(differences)}"
        )
    whole = replace(bank, header=header)
    return {
        number: whole.rows(range(end - size, end))
        for number, size, end in zip(numbers, sizes, accumulate(sizes), strict=True)
    }
