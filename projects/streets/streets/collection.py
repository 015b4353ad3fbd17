"""Collections of data sets: their content, and their generation with several processes."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_atomically
from streets.domains import DOMAINS, TARGET_LOOKS, VALIDATION_LOOKS, Domain, Role
from streets.files import SampleFiles, write_sample
from streets.label_files import mapillary_classes
from streets.namings import gta5_name
from streets.sample import draw_sample

REVISION = 1  # increment when the same settings give other pictures
SETTINGS_FILE = "streets.json"
_BLOCK = 1_000_000  # scene numbers per domain and split, so that all scenes of a collection differ


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that determine the content of a collection.

    Attributes:
        height, width: size of the images in pixels.
        seed: seed of all scenes.
        train, val: number of training and validation scenes of the source.
        targets: number of validation scenes of every other look.
        target_train: number of training scenes of targets whose layout has a training split.
        looks: looks to generate besides that of the source.
        revision: revision of the generator.
    """

    height: int
    width: int
    seed: int
    train: int
    val: int
    targets: int
    target_train: int = 0
    looks: tuple[str, ...] = TARGET_LOOKS
    revision: int = REVISION

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise LangDGError(f"images are {self.height}x{self.width}, expected at least 16x16")
        for name in ("seed", "train", "val", "targets", "target_train"):
            if not 0 <= getattr(self, name) < _BLOCK:
                raise LangDGError(f"{name} is {getattr(self, name)}, expected 0..{_BLOCK - 1}")
        known = (*TARGET_LOOKS, *VALIDATION_LOOKS)
        if unknown := [look for look in self.looks if look not in known]:
            raise LangDGError(f"looks has unknown {unknown}, expected some of {', '.join(known)}")


@dataclass(frozen=True)
class Job:
    """A scene to generate."""

    seed: int
    look: str
    index: int
    size: tuple[int, int]
    files: SampleFiles


def chosen_domains(looks: Collection[str]) -> list[tuple[int, Domain]]:
    """Return the source and the domains of the looks, with their indices among all domains."""
    return [
        (place, domain)
        for place, domain in enumerate(DOMAINS)
        if domain.role is Role.SOURCE or domain.look in looks
    ]


def _counts(domain: Domain, settings: Settings) -> tuple[int, int]:
    """Return the numbers of training and validation scenes of a domain."""
    if domain.role is Role.SOURCE:
        return settings.train, settings.val
    trains = domain.role is Role.TARGET and domain.has_train
    return settings.target_train if trains else 0, settings.targets


def plan(root: Path, settings: Settings) -> Iterator[Job]:
    """Yield all scenes of a collection, in order."""
    size = (settings.height, settings.width)
    for place, domain in chosen_domains(settings.looks):
        counts = _counts(domain, settings)
        for j, (split, count) in enumerate(zip(("train", "val"), counts, strict=True)):
            # GTA5 numbers its images consecutively, the others within a split.
            offset = counts[0] if domain.role is Role.SOURCE and split == "val" else 0
            for n in range(count):
                files = domain.files(root, split, offset + n + 1)
                yield Job(settings.seed, domain.look, (2 * place + j) * _BLOCK + n, size, files)


def companion_files(root: Path, settings: Settings) -> dict[Path, str]:
    """Return the text files of a collection: lists of GTA5's splits and Mapillary's classes."""
    numbers = {
        "train": range(1, settings.train + 1),
        "val": range(settings.train + 1, settings.train + settings.val + 1),
    }
    texts = {
        root / "gta5" / f"{split}.txt": "".join(f"{gta5_name(n)}\n" for n in chosen)
        for split, chosen in numbers.items()
    }
    if any(domain.folder == "mapillary" for _, domain in chosen_domains(settings.looks)):
        classes = {"version": "1.2", "labels": mapillary_classes()}
        texts[root / "mapillary" / "config.json"] = json.dumps(classes, indent=1) + "\n"
    return texts


def claim_folder(root: Path, settings: Settings, *, overwrite: bool = False) -> None:
    """Claim a folder for a collection and write its settings file.

    Looks may be added to a collection. For other settings, `overwrite` deletes the files of the
    previous collection. Files that are not listed in a settings file are never changed.

    Raises:
        FileExistsError: if the folder has a collection with other settings, or data sets that this
            program did not generate.
    """
    record = root / SETTINGS_FILE
    wanted = json.loads(json.dumps(asdict(settings)))
    found = json.loads(record.read_text()) if record.is_file() else None
    previous = None if found is None else Settings(**found)
    made = set() if previous is None else _folders(previous.looks)
    foreign = sorted(name for name in _folders(settings.looks) - made if (root / name).exists())
    if foreign:
        raise FileExistsError(
            f"{root} has {', '.join(foreign)} but no {SETTINGS_FILE} that lists them, so they "
            "were not generated by this program; choose another output folder"
        )
    if found is not None and previous is not None:
        if difference := _difference(found, wanted):
            if not overwrite:
                raise FileExistsError(
                    f"according to {record}, this folder was generated with other settings "
                    f"({difference}); choose another output folder, or replace it with --overwrite"
                )
            _delete(root, previous)
        else:
            wanted["looks"] = list(dict.fromkeys([*previous.looks, *settings.looks]))
    write_atomically(record, (json.dumps(wanted, indent=2) + "\n").encode())


def _folders(looks: Collection[str]) -> set[str]:
    return {domain.folder for _, domain in chosen_domains(looks)}


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Describe differing settings, except looks; "" if there are none."""
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    return ", ".join(
        f"{key} {found.get(key)} -> {wanted.get(key)}" for key in keys if key != "looks"
    )


def _delete(root: Path, previous: Settings) -> None:
    for job in plan(root, previous):
        for path in job.files.all:
            path.unlink(missing_ok=True)
    for path in companion_files(root, previous):
        path.unlink(missing_ok=True)


def make_sample(job: Job) -> None:
    """Draw and write a scene."""
    rendering = draw_sample(seed=job.seed, look=job.look, index=job.index, size=job.size)
    write_sample(rendering, job.files)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the processes already share the cores


def generate(root: Path, settings: Settings, *, workers: int = 1, overwrite: bool = False) -> int:
    """Generate a collection, keeping complete scenes.

    Args:
        root: folder of the data sets.
        settings: settings of the collection.
        workers: number of processes, which does not affect the pictures.
        overwrite: whether to replace a collection with other settings.

    Returns:
        The number of drawn scenes.

    Raises:
        FileExistsError: see `claim_folder`.
    """
    claim_folder(root, settings, overwrite=overwrite)
    for path, content in companion_files(root, settings).items():
        write_atomically(path, content.encode())
    jobs = [job for job in plan(root, settings) if not job.files.complete]
    progress = tqdm(total=len(jobs), unit="scene", disable=None)
    if workers > 1 and len(jobs) > 1:
        # Spawned, because forking a process with threads can deadlock.
        with get_context("spawn").Pool(workers, _start_worker) as pool:
            for _ in pool.imap_unordered(make_sample, jobs, chunksize=4):
                progress.update()
    else:
        for job in jobs:
            make_sample(job)
            progress.update()
    progress.close()
    return len(jobs)
