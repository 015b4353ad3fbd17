"""A whole collection of data sets: what belongs to it, and making it with several processes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from streets.files import (
    Naming,
    SampleFiles,
    acdc_files,
    cityscapes_files,
    gta5_files,
    gta5_name,
    write_sample,
    write_whole,
)
from streets.sample import draw_sample

REVISION = 1  # raise when the same settings give other pictures
SETTINGS_FILE = "streets.json"
_BLOCK = 1_000_000  # scene numbers of one domain and split; keeps all scenes of a collection apart


@dataclass(frozen=True)
class Domain:
    """A look in the clothes of a data set.

    Attributes:
        name: of the domain.
        look: name in `looks.LOOKS`.
        files: where scenes go.
        source: made in the sizes of the source set rather than of the targets.
    """

    name: str
    look: str
    files: Naming
    source: bool = False


DOMAINS = (
    Domain("gta5", "clear", gta5_files, source=True),
    Domain("cityscapes", "other_city", cityscapes_files),
    *(Domain(f"acdc {c}", c, acdc_files(c)) for c in ("fog", "night", "rain", "snow")),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the content of a collection.

    Attributes:
        height, width: of the images, pixels.
        seed: of all scenes.
        train, val: scenes of the source set.
        targets: validation scenes of every target.
        target_train: training scenes of every target.
        revision: of the generator.
    """

    height: int
    width: int
    seed: int
    train: int
    val: int
    targets: int
    target_train: int = 0
    revision: int = REVISION

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ValueError(f"images of {self.height}x{self.width} are too small, 16x16 is least")
        for name in ("seed", "train", "val", "targets", "target_train"):
            if not 0 <= getattr(self, name) < _BLOCK:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 to {_BLOCK - 1}")


@dataclass(frozen=True)
class Job:
    """One scene to make."""

    seed: int
    look: str
    index: int
    size: tuple[int, int]
    files: SampleFiles


def plan(root: Path, settings: Settings) -> Iterator[Job]:
    """All scenes of a collection, in order."""
    size = (settings.height, settings.width)
    for k, domain in enumerate(DOMAINS):
        counts = (
            (settings.train, settings.val)
            if domain.source
            else (settings.target_train, settings.targets)
        )
        for j, (split, count) in enumerate(zip(("train", "val"), counts, strict=True)):
            # GTA5 numbers its images through, the others count within a split.
            offset = counts[0] if domain.source and split == "val" else 0
            for n in range(count):
                files = domain.files(root, split, offset + n + 1)
                yield Job(settings.seed, domain.look, (2 * k + j) * _BLOCK + n, size, files)


def split_lists(root: Path, settings: Settings) -> dict[Path, str]:
    """The text files that list GTA5's splits, with their content."""
    numbers = {
        "train": range(1, settings.train + 1),
        "val": range(settings.train + 1, settings.train + settings.val + 1),
    }
    return {
        root / "gta5" / f"{split}.txt": "".join(f"{gta5_name(n)}\n" for n in chosen)
        for split, chosen in numbers.items()
    }


def claim_folder(root: Path, settings: Settings, *, overwrite: bool = False) -> None:
    """Make the folder this collection's own, or find that it already is.

    Writes the settings file. With `overwrite`, files of a collection with other settings are
    deleted first; files that no settings file accounts for are never touched.

    Raises:
        FileExistsError: if the folder holds a collection with other settings, or data sets that
            this program did not make.
    """
    record = root / SETTINGS_FILE
    wanted = asdict(settings)
    if record.is_file():
        found = json.loads(record.read_text())
        if found != wanted:
            if not overwrite:
                raise FileExistsError(_difference(record, found, wanted))
            _delete(root, found)
    else:
        taken = [name for name in ("gta5", "cityscapes", "acdc") if (root / name).exists()]
        if taken:
            raise FileExistsError(
                f"{root} holds {', '.join(taken)} but no {SETTINGS_FILE}, so they were not made "
                "by this program; choose another output folder"
            )
    write_whole(record, (json.dumps(wanted, indent=2) + "\n").encode())


def _difference(record: Path, found: dict[str, Any], wanted: dict[str, Any]) -> str:
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    changes = ", ".join(f"{key} {found.get(key)} -> {wanted.get(key)}" for key in keys)
    return (
        f"{record} says this folder was generated with other settings ({changes}); choose another "
        "output folder, or replace it with --overwrite"
    )


def _delete(root: Path, found: dict[str, Any]) -> None:
    previous = Settings(**found)
    for job in plan(root, previous):
        for path in job.files.all:
            path.unlink(missing_ok=True)
    for path in split_lists(root, previous):
        path.unlink(missing_ok=True)


def make_sample(job: Job) -> None:
    """Draw and write one scene."""
    rendering = draw_sample(seed=job.seed, look=job.look, index=job.index, size=job.size)
    write_sample(rendering, job.files)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the processes already share the cores


def generate(root: Path, settings: Settings, *, workers: int = 1, overwrite: bool = False) -> int:
    """Make a collection; scenes that are already complete are kept.

    Args:
        root: folder of the data sets.
        settings: what to make.
        workers: processes; the pictures do not depend on it.
        overwrite: replace a collection with other settings.

    Returns:
        How many scenes were drawn.

    Raises:
        FileExistsError: see `claim_folder`.
    """
    claim_folder(root, settings, overwrite=overwrite)
    for path, content in split_lists(root, settings).items():
        write_whole(path, content.encode())
    jobs = [job for job in plan(root, settings) if not job.files.complete]
    progress = tqdm(total=len(jobs), unit="scene", disable=None)
    if workers > 1 and len(jobs) > 1:
        # Spawned, not forked: forking a process that has threads can deadlock.
        with get_context("spawn").Pool(workers, _start_worker) as pool:
            for _ in pool.imap_unordered(make_sample, jobs, chunksize=4):
                progress.update()
    else:
        for job in jobs:
            make_sample(job)
            progress.update()
    progress.close()
    return len(jobs)
