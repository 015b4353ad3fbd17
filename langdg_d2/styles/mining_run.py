"""The bank of a whole source set: mined on all processes together, seen to, loaded."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..data.seeded_batches import SeededBatches, images_fingerprint
from ..structures.source_names import joined_names
from .bank import StyleBank
from .bank_header import bullets
from .mining import StyleMiner, mining_settings
from .pin import PinSettings
from .prompts import TargetPrompts
from .unfinished import Unfinished

logger = logging.getLogger(__name__)


def mine_source(
    *,
    miner: StyleMiner,
    batches: SeededBatches,
    source: str | Sequence[str],
    seed: int,
    settings: Mapping[str, Any],
    path: str,
    checkpoint_period: int,
    num_workers: int,
    max_styles_per_class: int | None = None,
) -> None:
    """Mine every batch and write the bank; every process must call this.

    The bank depends on the seed and the batches alone, not on the number of processes nor on
    interruptions: what is done is kept in `<path>.part<batch>` and not mined again.

    Args:
        miner: on this process's device.
        batches: one pass over the source set, or over several together.
        source: its name, or their names.
        seed: of the prompts.
        settings: remembered in the bank.
        path: file of the bank.
        checkpoint_period: batches of a process between savings.
        num_workers: of the loader.
        max_styles_per_class: as many of those mined are kept, drawn at random; None for all.

    Raises:
        StyleBankError: for unfinished work of other settings or images, or of unseen processes.
        RuntimeError: if another process cannot read or write the files.
        LangDGError: if the checkpoint period, or the number of styles, is not positive.
    """
    settings = _with_images(settings, batches.fingerprint)
    header = miner.header(source=source, seed=seed, settings=settings)
    unfinished = Unfinished(header, Path(path), checkpoint_period, max_styles_per_class)
    own = unfinished.resume(len(batches))[comm.get_rank() :: comm.get_world_size()]
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
    logger.warning("there is no style bank at '%s': it is mined now", path)
    mine()


def load_bank(
    path: str,
    *,
    prompts: TargetPrompts,
    pin: PinSettings,
    dataset: Sequence[dict[str, Any]],
    source: str | Sequence[str],
    seed: int,
    settings: Mapping[str, Any],
) -> StyleBank:
    """Load a bank, with a warning where it was not mined as `mine_source` would do it now.

    It is no error: configs may share a bank. Whether the bank fits the model is for others to say.

    Args:
        path: of the bank.
        prompts: of the miner.
        pin: of the miner.
        dataset: dataset dicts that batches of `mine_source` are made of.
        source: as for `mine_source`.
        seed: as for `mine_source`.
        settings: as for `mine_source`.

    Raises:
        StyleBankError: if there is no bank, or it is damaged.
    """
    bank = StyleBank.load(path)
    settings = _with_images(settings, images_fingerprint(dataset))
    settings = mining_settings(settings, prompts=prompts, pin=pin)
    differences: dict[str, None] = {}
    for part in bank.header.parts:
        wanted = replace(part, source=joined_names(source), seed=seed, settings=settings)
        differences |= dict.fromkeys(part.differences(vars(wanted), other="this config"))
    if differences:
        logger.warning(
            "the style bank '%s' was mined otherwise than this config does; delete it to mine "
            "anew, unless you share it on purpose:%s",
            path,
            bullets(differences),
        )
    return bank


def _with_images(settings: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    return dict(settings) | {"images": fingerprint}


def _stack(batch: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    return torch.stack([x["image"] for x in batch]), torch.stack([x["sem_seg"] for x in batch])


def _prompt_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)
