"""Augment (paper section 4.2): text-driven mining of local styles from source images."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from torch import Tensor
from torch.utils.data import DataLoader

from ..data.loaders import SeededBatches
from ..data.sources import joined_names
from ..modeling import EmbeddingClip, PixelNormalization
from ..structures import PatchGrid
from ..utils.distributed import of_main_process
from ..utils.errors import require_int
from ..utils.provenance import plain_data
from .bank import BankHeader, StyleBank, StyleBankError, feature_fingerprint
from .pin import PinSettings, PromptDrivenNormalization
from .prompts import TargetPrompts

logger = logging.getLogger(__name__)

_LOG_SECONDS = 30  # between progress messages


def choose_patches(patch_classes: Tensor) -> dict[int, tuple[int, int, int]]:
    """Select the first patch of every class, in the order of cells, then images.

    Args:
        patch_classes: majority classes (N, rows, cols) uint8; the ignore label counts as a class.

    Returns:
        (image, row, column) by ascending class id.
    """
    images, _, cols = patch_classes.shape
    in_order = patch_classes.permute(1, 2, 0).flatten().tolist()
    firsts = {class_id: in_order.index(class_id) for class_id in sorted(set(in_order))}
    return {
        class_id: (k % images, k // images // cols, k // images % cols)
        for class_id, k in firsts.items()
    }


def mining_origin(
    *,
    source: str | Sequence[str],
    seed: int,
    prompts: TargetPrompts,
    pin: PinSettings,
    images: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields `source`, `seed` and `settings` of a bank header.

    Args:
        source: name of the mined data set, or of several.
        seed: seed of crops and prompts.
        prompts: prompts of the miner.
        pin: optimisation settings of the miner.
        images: `images_fingerprint` of the mined data set; None if none is mined.
        settings: other settings to record, as JSON types or parts of a config.
    """
    # Plain containers, because a config's lists would differ from those read from a bank.
    recorded = plain_data(settings or {}) | {"pin": pin.as_dict(), "prompts": prompts.all()}
    if images is not None:
        recorded["images"] = images
    return {"source": joined_names(source), "seed": seed, "settings": recorded}


class StyleMiner:
    """Mines styles from batches of labelled images with a frozen CLIP.

    Args:
        clip: CLIP from `load_embedding_clip`, or built from custom parts.
        grid: patch grid of images.
        prompts: target texts, which also define the classes.
        normalize: normalisation of images, as in training.
        pin: settings of the optimisation.
        device: device to run on.
    """

    def __init__(
        self,
        *,
        clip: EmbeddingClip,
        grid: PatchGrid,
        prompts: TargetPrompts,
        normalize: PixelNormalization,
        pin: PinSettings,
        device: str,
    ) -> None:
        self.backbone = clip.backbone.to(device)
        clip.text.to(device)
        self._text = clip.text
        self._prompts = prompts
        self._grid = grid
        self._pin = PromptDrivenNormalization(backbone=self.backbone, settings=pin)
        self._normalize = normalize.to(device)
        self._clip_name = clip.name

    def header(self, *, source: str, seed: int, settings: Mapping[str, Any]) -> BankHeader:
        """Return the header of a bank of this miner; for the arguments see `BankHeader`."""
        return BankHeader(
            clip_name=self._clip_name,
            clip_fingerprint=feature_fingerprint(self.backbone),
            whole_clip_fingerprint=self.backbone.whole_clip_fingerprint,
            layer=self.backbone.restyled_layer,
            channels=self.backbone.restyled_channels,
            grid=(self._grid.rows, self._grid.cols),
            class_names=self._prompts.class_names,
            ignore_label=self._prompts.ignore_label,
            source=source,
            seed=seed,
            settings=settings,
        )

    def mine(
        self, images: Tensor, labels: Tensor, *, header: BankHeader, generator: torch.Generator
    ) -> StyleBank:
        """Mine the style of one patch for every class in a batch.

        Args:
            images: (N, 3, H, W) RGB in 0..255, on any device.
            labels: (N, H, W) uint8 train ids.
            header: header of the returned bank.
            generator: CPU generator, which draws the style prompts.

        Returns:
            One style per class, by ascending class id, on the CPU.

        Raises:
            StyleBankError: if a style is not finite.
        """
        places = choose_patches(self._grid.majority(labels))
        prompts = self._prompts.sample(list(places), generator=generator)
        patches = self._patches(images, places.values())
        result = self._pin(patches, self._text.encode(prompts))
        bank = StyleBank(
            header=header,
            mean=result.stats.mean.flatten(1).cpu(),
            std=result.stats.std.flatten(1).cpu(),
            class_id=torch.tensor(list(places), dtype=torch.uint8),
            prompts=tuple(prompts),
            cosine_before=result.cosine_before.cpu(),
            cosine_after=result.cosine_after.cpu(),
        )
        bank.require_finite()
        return bank

    @torch.no_grad()
    def _patches(self, images: Tensor, places: Iterable[tuple[int, int, int]]) -> Tensor:
        """Return features (P, C, h, w) of P patches, cropped to the smallest cell of the grid."""
        features = self.backbone.forward_low(self._normalize(images))[self.backbone.restyled]
        cells = self._grid.split(features)  # rows * cols of (N, C, h, w)
        height = min(cell.shape[-2] for cell in cells)
        width = min(cell.shape[-1] for cell in cells)
        chosen = [
            cells[row * self._grid.cols + col][image, :, :height, :width]
            for image, row, col in places
        ]
        return torch.stack(chosen).contiguous(memory_format=torch.channels_last)


class SourceMining:
    """Mines a source set and writes the bank.

    The bank depends only on batches and seed, not on the number of processes or on interruptions.
    Every `checkpoint_period` batches are saved as `<path>.part<first batch>`, and these files are
    kept until the bank is written.

    Args:
        miner: miner on this process's device.
        batches: one pass over one or several source sets; their seed also draws the prompts.
        origin: origin from `mining_origin`, recorded in the bank.
        path: file of the bank, in a folder that all processes share.
        checkpoint_period: number of batches that a process mines and saves together.
        num_workers: number of data loading workers.
        max_styles_per_class: maximum number of styles per class, drawn at random; None keeps all.
    """

    def __init__(
        self,
        *,
        miner: StyleMiner,
        batches: SeededBatches,
        origin: Mapping[str, Any],
        path: str,
        checkpoint_period: int,
        num_workers: int,
        max_styles_per_class: int | None = None,
    ) -> None:
        require_int("styles.mining.checkpoint_period", checkpoint_period)
        require_int("styles.mining.num_workers", num_workers, 0)
        if max_styles_per_class is not None:
            require_int("styles.mining.max_styles_per_class", max_styles_per_class)
        self.miner = miner
        self._batches = batches
        self._seed = batches.seed
        self._path = Path(path)
        self._num_workers = num_workers
        self._per_class = max_styles_per_class
        self._header = miner.header(**origin)
        period = {"checkpoint_period": checkpoint_period}  # determines the batches of a part
        self._part_header = replace(self._header, settings={**self._header.settings, **period})
        self._parts: dict[Path, range] = {}  # batches by file
        for first in range(0, len(batches), checkpoint_period):
            file = self._path.with_name(f"{self._path.name}.part{first}")
            self._parts[file] = range(len(batches))[first : first + checkpoint_period]

    def run(self) -> None:
        """Mine every batch and write the bank. Collective."""
        unfinished = of_main_process(self._unfinished)
        self._mine(unfinished[comm.get_rank() :: comm.get_world_size()])
        comm.synchronize()  # wait until all parts are written
        of_main_process(self._join)

    def _unfinished(self) -> list[Path]:
        """Return the parts that interrupted runs have not written."""
        # A listing, because network file systems may cache that a file did not exist.
        present = [file for file in self._path.parent.glob("*.part*") if file in self._parts]
        for file in present:
            self._load_part(file)
        if done := sum(len(self._parts[file]) for file in present):
            logger.info("%d of %d batches are already mined", done, len(self._batches))
        return [file for file in self._parts if file not in present]

    def _load_part(self, file: Path) -> StyleBank:
        try:
            part = StyleBank.load(file)
        except StyleBankError as error:
            raise StyleBankError(
                f"delete this damaged part of an unfinished mining run: {error}"
            ) from error
        # From an earlier run, or from a machine with other prompt files or weights.
        if differences := part.header.differences(vars(self._part_header), other="this run"):
            lines = "\n- ".join(differences)
            raise StyleBankError(
                f"'{file}' was mined with other settings; delete it, or choose another path for "
                f"the bank:\n- {lines}"
            )
        return part

    def _mine(self, files: list[Path]) -> None:
        """Mine and write the given parts."""
        loader = DataLoader(
            self._batches,
            batch_size=None,
            sampler=[number for file in files for number in self._parts[file]],
            num_workers=self._num_workers,
            collate_fn=_stack,
        )
        batches, progress = iter(loader), _Progress(len(loader))
        for file in files:
            mined = []
            for number in self._parts[file]:
                mined.append(self._mine_batch(number, *next(batches)))
                progress.add(mined[-1])
            StyleBank.merge(mined).save(file)

    def _mine_batch(self, number: int, images: Tensor, labels: Tensor) -> StyleBank:
        # 63 bits, to fit into an int64.
        seed = np.random.SeedSequence((self._seed, number)).generate_state(1, np.uint64)[0] >> 1
        generator = torch.Generator().manual_seed(int(seed))
        return self.miner.mine(images, labels, header=self._part_header, generator=generator)

    def _join(self) -> None:
        """Merge all parts into the bank, in the order of the batches, and remove them."""
        if missing := [file.name for file in self._parts if not file.exists()]:
            raise StyleBankError(
                f"{len(missing)} of {len(self._parts)} mined parts are missing, such as "
                f"'{missing[0]}': put styles.bank into a folder that all processes can read and "
                "write"
            )
        bank = StyleBank.merge([self._load_part(file) for file in self._parts])
        bank = replace(bank, header=self._header)
        if self._per_class is not None:
            bank = bank.sample(self._per_class, seed=self._seed)
        bank.save(self._path)
        logger.info("%d styles in '%s'\n%s", len(bank), self._path, bank.describe())
        for file in self._parts:
            file.unlink()


class _Progress:
    """Logs the progress of this process at the beginning, every 30 seconds and at the end."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._styles = total, 0, 0
        self._before = self._after = 0.0  # sums of cosines
        self._begin = self._logged = time.monotonic()
        logger.info("mining styles: %d batches in this process", total)

    def add(self, batch: StyleBank) -> None:
        """Count a batch."""
        self._done += 1
        self._styles += len(batch)
        self._before += float(batch.cosine_before.sum())
        self._after += float(batch.cosine_after.sum())
        now = time.monotonic()
        if 1 < self._done < self._total and now - self._logged < _LOG_SECONDS:
            return
        self._logged = now
        each = (now - self._begin) / self._done
        logger.info(
            "mining styles: %d/%d batches, %.3g s a batch, %s left, mean cosine %.3f (%.3f before)",
            *(self._done, self._total, each),
            timedelta(seconds=round(each * (self._total - self._done))),
            *(self._after / self._styles, self._before / self._styles),
        )


def _stack(batch: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    return torch.stack([x["image"] for x in batch]), torch.stack([x["sem_seg"] for x in batch])
