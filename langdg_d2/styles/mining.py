"""Augment (paper section 4.2): mine local styles of source images toward text, into a bank."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.utils import comm
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..data.loaders import SeededBatches
from ..data.sources import joined_names
from ..layers import fold
from ..modeling import ClipResNet, PixelNormalization, TextEncoder
from ..modeling.backbone.layers import STRIDES
from ..structures import PatchGrid
from ..utils.distributed import shared_errors
from ..utils.errors import require_whole
from .bank import (
    BankHeader,
    StyleBank,
    StyleBankError,
    bullets,
    feature_fingerprint,
)
from .pin import PinSettings, PromptDrivenNormalization
from .prompts import TargetPrompts

logger = logging.getLogger(__name__)

# Mining compares with text, for which CLIP needs its attention pooling, and that has positions for
# features of CLIP's own stride alone (paper section 4.2); training has finer ones.
_CLIP_STRIDE = STRIDES[-1]

_DONE = "batches"  # setting of an unfinished bank: numbers of its batches, in its order
_SIZES = "styles_of_batches"  # and how many styles each gave
_SHOWN = 3  # missing batches in a message


class PatchChoice(NamedTuple):
    """One patch for each class that is the majority class of at least one patch.

    Attributes:
        class_ids: ascending.
        places: (image, row, col) of each class's patch.
    """

    class_ids: list[int]
    places: list[tuple[int, int, int]]


def choose_patches(patch_classes: Tensor) -> PatchChoice:
    """The first patch of every class, looking at a cell of all images before the next cell.

    Args:
        patch_classes: (N, rows, cols) uint8; the ignore label counts as a class.
    """
    images, _, cols = patch_classes.shape
    in_order = patch_classes.permute(1, 2, 0).flatten().tolist()
    class_ids = sorted(set(in_order))
    firsts = [in_order.index(class_id) for class_id in class_ids]
    places = [(k % images, k // images // cols, k // images % cols) for k in firsts]
    return PatchChoice(class_ids, places)


def mining_origin(
    *,
    source: str | Sequence[str],
    seed: int,
    settings: Mapping[str, Any],
    prompts: TargetPrompts,
    pin: PinSettings,
    images: str | None = None,
) -> dict[str, Any]:
    """What a bank's header says of its mining: the fields source, seed and settings.

    Args:
        source: name of the set that is mined, or of several.
        seed: of crops and prompts.
        settings: anything else worth remembering, JSON types.
        prompts: of the miner.
        pin: of the miner.
        images: `images_fingerprint` of the set; None if no set is mined.
    """
    recorded = dict(settings)
    if images is not None:
        recorded["images"] = images
    recorded |= {"pin": pin.as_dict(), "prompts": prompts.all()}
    return {"source": joined_names(source), "seed": seed, "settings": recorded}


class StyleMiner:
    """Mines the styles of batches of labelled images with a frozen CLIP.

    Args:
        clip: the CLIP whose features are restyled, as `load_clip` gives it; it is frozen and its
            image tower is used at CLIP's own stride.
        clip_name: the name or JSON path that `load_clip` was given; a bank remembers it.
        restyled_layer: see `ClipResNet`.
        grid: patches that images are cut into.
        prompts: target texts of the patches of a class; they also define the classes.
        normalize: of the images, as in training.
        pin: how patches are optimised.
        device: where it runs.
    """

    def __init__(
        self,
        *,
        clip: nn.Module,
        clip_name: str,
        restyled_layer: str,
        grid: PatchGrid,
        prompts: TargetPrompts,
        normalize: PixelNormalization,
        pin: PinSettings,
        device: str,
    ) -> None:
        clip = clip.requires_grad_(False).eval().to(device)
        self.backbone = ClipResNet(
            tower=clip.visual,
            output_stride=_CLIP_STRIDE,
            trainable=(),
            restyled_layer=restyled_layer,
            attention_pool=True,
        ).to(memory_format=torch.channels_last)  # several times faster on CPUs
        fold(self.backbone)
        self._text = TextEncoder(clip=clip, name=clip_name)
        self._prompts = prompts
        self._grid = grid
        self._pin_settings = pin
        self._pin = PromptDrivenNormalization(backbone=self.backbone, settings=pin)
        self._normalize = normalize.to(device)
        self._clip_name = Path(clip_name).name.removesuffix(".json")

    def header(
        self,
        *,
        source: str | Sequence[str],
        seed: int,
        settings: Mapping[str, Any],
        images: str | None = None,
    ) -> BankHeader:
        """What the styles mined here belong to; the arguments are those of `mining_origin`."""
        return BankHeader(
            clip_name=self._clip_name,
            clip_fingerprint=feature_fingerprint(self.backbone),
            whole_clip_fingerprint=self.backbone.clip_fingerprint,
            layer=self.backbone.restyled_layer,
            channels=self.backbone.restyled_channels,
            grid=(self._grid.rows, self._grid.cols),
            class_names=self._prompts.class_names,
            ignore_label=self._prompts.ignore_label,
            **mining_origin(
                source=source,
                seed=seed,
                settings=settings,
                prompts=self._prompts,
                pin=self._pin_settings,
                images=images,
            ),
        )

    def mine(
        self, images: Tensor, labels: Tensor, *, header: BankHeader, generator: torch.Generator
    ) -> StyleBank:
        """Styles of one patch for every class in a batch.

        Args:
            images: (N, 3, H, W) RGB in 0..255, any device.
            labels: (N, H, W) uint8 train ids.
            header: of the bank that is being made.
            generator: draws the style prompts.

        Returns:
            A bank of as many styles as there are classes, ascending, on the CPU.
        """
        class_ids, places = choose_patches(self._grid.majority(labels))
        prompts = self._prompts.sample(class_ids, generator=generator)
        result = self._pin(self._patches(images, places), self._text.encode(prompts))
        return StyleBank(
            header=header,
            mean=result.stats.mean.flatten(1).cpu(),
            std=result.stats.std.flatten(1).cpu(),
            class_id=torch.tensor(class_ids, dtype=torch.uint8),
            prompts=prompts,
            cosine_before=result.cosine_before.cpu(),
            cosine_after=result.cosine_after.cpu(),
        )

    @torch.no_grad()
    def _patches(self, images: Tensor, places: list[tuple[int, int, int]]) -> Tensor:
        """(P, C, h, w) features; where the grid does not divide evenly, of the smallest size."""
        features = self.backbone.forward_low(self._normalize(images))[self.backbone.restyled]
        cells = self._grid.split(features)  # rows * cols of (N, C, h, w)
        height = min(cell.shape[-2] for cell in cells)
        width = min(cell.shape[-1] for cell in cells)
        chosen = [
            cells[row * self._grid.cols + col][image, :, :height, :width]
            for image, row, col in places
        ]
        return torch.stack(chosen).contiguous(memory_format=torch.channels_last)


class MiningCheckpoint:
    """This process's share of a bank that is being mined.

    The styles between two savings become a file, `<path>.part<first batch>`, which is kept until
    the bank is written.

    Args:
        header: header of the bank.
        path: path of the bank, in a folder that all processes can access.
        period: batches between savings.
        per_class: most styles of each class in the bank, see `StyleBank.sample`; None for all.

    Raises:
        LangDGError: if `period` or `per_class` is not positive.
    """

    def __init__(
        self, *, header: BankHeader, path: Path, period: int, per_class: int | None = None
    ) -> None:
        require_whole("styles.mining.checkpoint_period", period)
        if per_class is not None:
            require_whole("styles.mining.max_styles_per_class", per_class)
        self._header = header
        self._path = path
        self._period = period
        self._per_class = per_class
        self._unsaved: dict[int, StyleBank] = {}  # by number of the batch
        self._batches = 0
        self._count = 0
        self._files: list[Path] = []  # of this process, and in the main one of interrupted runs

    def resume(self, batches: int) -> list[int]:
        """Find the files of interrupted runs; returns the numbers of the batches still to mine."""
        self._batches = batches
        with shared_errors():
            done: set[int] = set()
            if comm.is_main_process():
                name = escape(self._path.name)
                self._files = sorted(self._path.parent.glob(f"{name}.part*"))
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
        if len(self._unsaved) == self._period:
            self._save()
            mean = bank.cosine_after.mean()
            logger.info("%d batches mined, mean cosine %.3f", self._count, mean)

    def finish(self) -> None:
        """Write the bank of all processes, in the order of the batches."""
        with shared_errors():
            self._save()
        # By name: network file systems may list a folder with a delay.
        gathered = comm.gather(self._files)
        with shared_errors():
            if comm.is_main_process():
                files = [file for files in gathered for file in files]
                bank = self._merge(files)
                if self._per_class is not None:
                    bank = bank.sample(self._per_class, seed=self._header.seed or 0)
                bank.save(self._path)
                logger.info("%d styles in '%s'\n%s", len(bank), self._path, bank.describe())
                for file in files:
                    file.unlink(missing_ok=True)

    def _save(self) -> None:
        """Write the batches since the last saving."""
        if not self._unsaved:
            return
        sizes = [len(bank) for bank in self._unsaved.values()]
        settings = {**self._header.settings, _DONE: list(self._unsaved), _SIZES: sizes}
        bank = StyleBank.merge(list(self._unsaved.values()))
        file = self._path.with_name(f"{self._path.name}.part{min(self._unsaved)}")
        replace(bank, header=replace(self._header, settings=settings)).save(file)
        self._files.append(file)
        self._unsaved.clear()

    def _merge(self, files: list[Path]) -> StyleBank:
        banks = {number: bank for file in files for number, bank in self._read(file).items()}
        if missing := [number for number in range(self._batches) if number not in banks]:
            raise StyleBankError(
                f"{len(missing)} of {self._batches} mined batches are missing next to "
                f"'{self._path}', such as {missing[:_SHOWN]}: styles.bank has to be in a folder "
                "that all processes can read and write"
            )
        return StyleBank.merge([banks[number] for number in range(self._batches)])

    def _read(self, file: Path) -> dict[int, StyleBank]:
        """The batches of a part file, by number."""
        try:
            bank = StyleBank.load(file)
        except StyleBankError as error:
            raise StyleBankError(
                f"'{file}' is a damaged part of unfinished mining: delete it to mine its batches "
                f"again ({error.__cause__ or error})"
            ) from error
        settings = dict(bank.header.settings)
        numbers, sizes = settings.pop(_DONE, []), settings.pop(_SIZES, [])
        found = vars(replace(bank.header, settings=settings))
        if differences := self._header.differences(found, other="the unfinished work"):
            raise StyleBankError(
                f"'{file}' is unfinished mining with other settings; delete it, or choose another "
                f"path for the bank:{bullets(differences)}"
            )
        part = replace(bank, header=self._header)
        return {
            number: part.rows(range(end - size, end))
            for number, size, end in zip(numbers, sizes, accumulate(sizes), strict=True)
        }


class SourceMining:
    """Mines a whole source set and writes the bank.

    The bank depends on the seed and the batches alone, not on the number of processes or on
    interruptions: finished batches are kept in `<path>.part<batch>`.

    Args:
        miner: on this process's device.
        batches: one pass over the source set, or over several together.
        source: name of the set, or names of several.
        seed: seed of the prompts, not negative.
        settings: recorded in the bank.
        path: path of the bank.
        checkpoint_period: batches of a process between savings.
        num_workers: processes of the loader.
        max_styles_per_class: most styles of each class, drawn at random; None for all.

    Attributes:
        miner: as given.

    Raises:
        LangDGError: if a number is out of range.
    """

    def __init__(
        self,
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
        require_whole("styles.seed", seed, 0)
        require_whole("styles.mining.num_workers", num_workers, 0)
        self.miner = miner
        self._batches = batches
        self._seed = seed
        self._header = miner.header(
            source=source, seed=seed, settings=settings, images=batches.fingerprint
        )
        self._checkpoint = MiningCheckpoint(
            header=self._header,
            path=Path(path),
            period=checkpoint_period,
            per_class=max_styles_per_class,
        )
        self._num_workers = num_workers

    def run(self) -> None:
        """Mine every batch and write the bank. Collective.

        Raises:
            StyleBankError: if unfinished work has other settings or images, or files are missing.
            RuntimeError: if another process cannot read or write the files.
        """
        rank, processes = comm.get_rank(), comm.get_world_size()
        own = self._checkpoint.resume(len(self._batches))[rank::processes]
        loader = DataLoader(
            self._batches,
            batch_size=None,
            sampler=own,
            num_workers=self._num_workers,
            collate_fn=_stack,
        )
        hidden = None if comm.is_main_process() else True
        with tqdm(loader, desc="mining styles", unit="batch", disable=hidden) as progress:
            for number, (images, labels) in zip(own, progress, strict=True):
                generator = torch.Generator().manual_seed(_prompt_seed(self._seed, number))
                mined = self.miner.mine(images, labels, header=self._header, generator=generator)
                self._checkpoint.add(number, mined)
                progress.set_postfix(cosine=f"{mined.cosine_after.mean():.3f}", refresh=False)
        self._checkpoint.finish()


def _stack(batch: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    return torch.stack([x["image"] for x in batch]), torch.stack([x["sem_seg"] for x in batch])


def _prompt_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)
