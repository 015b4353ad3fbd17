"""Mining a whole source set: shared out over processes, saved on the way, taken up again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..data.seeded_batches import SeededBatches
from .bank import StyleBank
from .bank_header import BankHeader, StyleBankError
from .mining import StyleMiner

logger = logging.getLogger(__name__)

_DONE = "batches"  # settings of an unfinished bank: numbers of its batches, in its order
_SIZES = "styles_of_batches"  # and how many styles each gave


def mine_source(
    *,
    miner: StyleMiner,
    batches: SeededBatches,
    source: str,
    seed: int,
    settings: Mapping[str, Any],
    path: str,
    checkpoint_period: int,
    num_workers: int,
) -> None:
    """Mine every batch and write the bank; every process must call this.

    The bank depends on the seed and the batches alone, not on the number of processes nor on
    interruptions: what is done is kept in `<path>.part<rank>` and not mined again.

    Args:
        miner: on this process's device.
        batches: the source set.
        source: its name.
        seed: of the prompts.
        settings: remembered in the bank.
        path: file of the bank.
        checkpoint_period: batches of a process between savings.
        num_workers: of the loader.

    Raises:
        StyleBankError: if unfinished work lies there that was made with other settings.
    """
    header = miner.header(source=source, seed=seed, settings=settings)
    unfinished = _Unfinished(header, Path(path), checkpoint_period)
    done = unfinished.take_up()
    todo = [number for number in range(len(batches)) if number not in done]
    own = todo[comm.get_rank() :: comm.get_world_size()]
    if done:
        logger.info("%d of %d batches are mined already", len(done), len(batches))

    loader = DataLoader(
        batches, batch_size=None, sampler=own, num_workers=num_workers, collate_fn=_stack
    )
    hidden = None if comm.is_main_process() else True
    with tqdm(loader, desc="mining styles", unit="batch", disable=hidden) as progress:
        for number, (images, labels) in zip(own, progress, strict=True):
            generator = torch.Generator().manual_seed(_prompt_seed(seed, number))
            mined = miner.mine(images, labels, header=header, generator=generator)
            unfinished.add(number, mined)
            progress.set_postfix(cosine=f"{mined.cosine_after.mean():.3f}", refresh=False)
    unfinished.save()
    unfinished.finish()


def ensure_bank(path: str, *, mine: Callable[[], None] | None) -> None:
    """See that there is a style bank; every process must call this.

    Args:
        path: of the bank.
        mine: writes it, on all processes together; None if it has to be there.

    Raises:
        FileNotFoundError: if it is not there and may not be mined.
    """
    if comm.all_gather(Path(path).is_file())[0]:
        return
    if mine is None:
        raise FileNotFoundError(
            f"there is no style bank at '{path}': make it with tools/mine_styles.py and this "
            "config, pass styles.bank=FILE, or set styles.mine_if_missing=true"
        )
    mine()


def _stack(batch: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    return torch.stack([x["image"] for x in batch]), torch.stack([x["sem_seg"] for x in batch])


def _prompt_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class _Unfinished:
    """This process's share of a bank in the making."""

    header: BankHeader
    path: Path
    period: int

    def __post_init__(self) -> None:
        self._banks: dict[int, StyleBank] = {}  # by number of the batch
        self._file = self._part(comm.get_rank())

    def _part(self, rank: int) -> Path:
        return self.path.with_name(f"{self.path.name}.part{rank}")

    def take_up(self) -> set[int]:
        """Read what an interrupted run has left; returns the numbers of its batches."""
        if comm.is_main_process():
            files = sorted(self.path.parent.glob(f"{self.path.name}.part*"))
            for file in files:
                self._banks.update(_by_batch(StyleBank.load(file), self.header, file))
            if files:
                self.save()
            for file in files:
                if file != self._file:
                    file.unlink()
        comm.synchronize()
        return set(comm.all_gather(set(self._banks))[0])

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
            _join(self._banks, replace(self.header, settings=settings)).save(self._file)

    def finish(self) -> None:
        """Put all processes' shares together in the order of the batches."""
        shares = comm.gather(self._banks)
        if comm.is_main_process():
            every = {number: bank for share in shares for number, bank in share.items()}
            bank = _join(dict(sorted(every.items())), self.header)
            bank.save(self.path)
            logger.info("%d styles in '%s'\n%s", len(bank), self.path, bank.describe())
        comm.synchronize()
        self._file.unlink(missing_ok=True)


def _join(banks: Mapping[int, StyleBank], header: BankHeader) -> StyleBank:
    parts = list(banks.values())
    return StyleBank(
        header=header,
        mean=torch.cat([part.mean for part in parts]),
        std=torch.cat([part.std for part in parts]),
        class_id=torch.cat([part.class_id for part in parts]),
        prompts=[prompt for part in parts for prompt in part.prompts],
        cosine_before=torch.cat([part.cosine_before for part in parts]),
        cosine_after=torch.cat([part.cosine_after for part in parts]),
    )


def _by_batch(bank: StyleBank, header: BankHeader, file: Path) -> dict[int, StyleBank]:
    """Cut an unfinished bank into its batches."""
    settings = dict(bank.header.settings)
    numbers, sizes = settings.pop(_DONE, []), settings.pop(_SIZES, [])
    if differences := header.differences(
        vars(replace(bank.header, settings=settings)), other="the unfinished work"
    ):
        listed = "".join(f"\n- {line}" for line in differences)
        raise StyleBankError(
            f"'{file}' is unfinished mining with other settings; delete it, or choose another "
            f"path for the bank:{listed}"
        )
    banks, start = {}, 0
    for number, size in zip(numbers, sizes, strict=True):
        rows = slice(start, start + size)
        banks[number] = StyleBank(
            header=header,
            mean=bank.mean[rows],
            std=bank.std[rows],
            class_id=bank.class_id[rows],
            prompts=bank.prompts[rows],
            cosine_before=bank.cosine_before[rows],
            cosine_after=bank.cosine_after[rows],
        )
        start += size
    return banks
