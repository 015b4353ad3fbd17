"""A bank in the making: saved piece by piece, resumed, put together from all processes."""

import logging
from dataclasses import dataclass, replace
from glob import escape
from itertools import accumulate
from pathlib import Path

from detectron2.utils import comm

from ..utils.distributed import shared_errors
from ..utils.errors import LangDGError
from .bank import StyleBank
from .bank_header import BankHeader, StyleBankError, bullets

logger = logging.getLogger(__name__)

_DONE = "batches"  # settings of an unfinished bank: numbers of its batches, in its order
_SIZES = "styles_of_batches"  # and how many styles each gave
_SHOWN = 3  # missing batches in a message


@dataclass
class Unfinished:
    """This process's share of a bank in the making.

    What it mines between two savings becomes a file of its own, `<path>.part<first batch>`, which
    is not touched again until the bank is whole.

    Attributes:
        header: of the bank.
        path: of its file, in a folder that all processes see.
        period: batches between savings.
        per_class: as many styles of each class are kept in the end, see `StyleBank.sample`; None
            for all.

    Raises:
        LangDGError: if one of the two numbers is not positive.
    """

    header: BankHeader
    path: Path
    period: int
    per_class: int | None = None

    def __post_init__(self) -> None:
        if self.period < 1:
            raise LangDGError(f"checkpoint_period {self.period} must be at least one batch")
        if self.per_class is not None and self.per_class < 1:
            raise LangDGError(f"max_styles_per_class {self.per_class} must be 1 or more, or null")
        self._unsaved: dict[int, StyleBank] = {}  # by number of the batch
        self._batches = 0
        self._count = 0
        self._files: list[Path] = []  # of this process, and in the main one of interrupted runs

    def resume(self, batches: int) -> list[int]:
        """Find what interrupted runs have left of so many batches; returns those still to mine."""
        self._batches = batches
        with shared_errors():
            done: set[int] = set()
            if comm.is_main_process():
                self._files = sorted(self.path.parent.glob(f"{escape(self.path.name)}.part*"))
                for file in self._files:
                    done.update(self._read(file))
        done = comm.all_gather(done)[0]
        if done:
            logger.info("%d of %d batches are mined already", len(done), batches)
        return [number for number in range(batches) if number not in done]

    def add(self, number: int, bank: StyleBank) -> None:
        """Keep a batch's styles, and save if it is time."""
        self._unsaved[number] = bank
        self._count += 1
        if len(self._unsaved) == self.period:
            self.save()
            mean = bank.cosine_after.mean()
            logger.info("%d batches mined, mean cosine %.3f", self._count, mean)

    def save(self) -> None:
        """Write what has been mined since the last time."""
        if self._unsaved:
            sizes = [len(bank) for bank in self._unsaved.values()]
            extra = {_DONE: list(self._unsaved), _SIZES: sizes}
            settings = dict(self.header.settings) | extra
            bank = StyleBank.merge(list(self._unsaved.values()))
            file = self.path.with_name(f"{self.path.name}.part{min(self._unsaved)}")
            replace(bank, header=replace(self.header, settings=settings)).save(file)
            self._files.append(file)
            self._unsaved.clear()

    def finish(self) -> None:
        """Write the bank, of all processes' shares in the order of the batches."""
        with shared_errors():
            self.save()
        # By name: a network's file system may list a folder as it was a minute ago.
        gathered = comm.gather(self._files)
        with shared_errors():
            if comm.is_main_process():
                files = [file for files in gathered for file in files]
                bank = self._merge(files)
                if self.per_class is not None:
                    bank = bank.sample(self.per_class, seed=self.header.seed or 0)
                bank.save(self.path)
                logger.info("%d styles in '%s'\n%s", len(bank), self.path, bank.describe())
                for file in files:
                    file.unlink(missing_ok=True)

    def _merge(self, files: list[Path]) -> StyleBank:
        banks = {number: bank for file in files for number, bank in self._read(file).items()}
        if missing := [number for number in range(self._batches) if number not in banks]:
            raise StyleBankError(
                f"{len(missing)} of {self._batches} mined batches are not beside '{self.path}', "
                f"such as {missing[:_SHOWN]}: styles.bank has to lie where all processes can read "
                "and write"
            )
        return StyleBank.merge([banks[number] for number in range(self._batches)])

    def _read(self, file: Path) -> dict[int, StyleBank]:
        """The batches of a part."""
        try:
            bank = StyleBank.load(file)
        except StyleBankError as error:
            raise StyleBankError(
                f"'{file}' is a part of unfinished mining and damaged: delete it, and its batches "
                f"are mined again ({error.__cause__ or error})"
            ) from error
        settings = dict(bank.header.settings)
        numbers, sizes = settings.pop(_DONE, []), settings.pop(_SIZES, [])
        found = vars(replace(bank.header, settings=settings))
        if differences := self.header.differences(found, other="the unfinished work"):
            raise StyleBankError(
                f"'{file}' is unfinished mining with other settings; delete it, or choose another "
                f"path for the bank:{bullets(differences)}"
            )
        whole = replace(bank, header=self.header)
        return {
            number: whole.rows(range(end - size, end))
            for number, size, end in zip(numbers, sizes, accumulate(sizes), strict=True)
        }
