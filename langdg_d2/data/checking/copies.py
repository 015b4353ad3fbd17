"""Checks of the splits of a data set on disk: all that is wrong with them, not only the first."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ..datasets.family import DatasetFamily
from ..datasets.pairing import DatasetError
from . import findings
from .findings import Finding, Problem, group
from .listing import list_split, listing_problems
from .pairs import PairFacts, inspect_pair, no_pixels, size_text

Record = dict[str, Any]

_FILES = ("file_name", "sem_seg_file_name", "label_encoding")
# Fewer labels than this share may well look like train ids, such as those of tunnels.
_RARE = 0.05


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """What a check found.

    Attributes:
        name: registered name of the split.
        listed: number of image-label pairs that the split names.
        records: dataset dicts of the pairs whose files were looked at.
        findings: what is wrong; in a good copy nothing but notes.
        pixel_counts: (K + 1,) pixels of each train id in these pairs, the ignored ones last.
        absent: the data set's folder, if there is none at all.
    """

    name: str
    listed: int
    records: Sequence[Record]
    findings: tuple[Finding, ...]
    pixel_counts: npt.NDArray[np.int64]
    absent: Path | None = None

    @property
    def noun(self) -> str:
        """What the split consists of."""
        labelled = all("sem_seg_file_name" in record for record in self.records)
        return "pairs" if labelled else "images"

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.is_note for finding in self.findings)


class CopyCheck:
    """Checks splits of data sets; a pair that several splits share is looked at once."""

    def __init__(
        self,
        *,
        root: Path,
        subset: bool = False,
        sample: int | None = None,
        fast: bool = False,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        """
        Args:
            root: folder of the data sets.
            subset: whether fewer or smaller images than the release has are meant to be there.
            sample: how many pairs of each split to look at, drawn at random; None for all. The
                names of all of them are checked in any case.
            fast: read headers and ends of the files only, not their pixels.
            seed: of the random draw.
            workers: threads that read files.
        """
        self._root = root
        self._subset = subset
        self._sample = sample
        self._fast = fast
        self._seed = seed
        self._workers = workers
        self._seen: dict[tuple[str, ...], PairFacts] = {}

    def check(self, family: DatasetFamily, split: str) -> SplitReport:
        """Look at one split; never raises for what is wrong with the copy."""
        name = family.registered_name(split)
        try:
            listing = list_split(family, self._root, split)
        except (DatasetError, OSError, UnicodeError) as error:
            path = error.path if isinstance(error, DatasetError) else None
            problem = Problem(findings.UNLISTABLE, str(path or ""), str(error))
            return SplitReport(
                name=name,
                listed=0,
                records=(),
                findings=group([problem], family.website),
                pixel_counts=no_pixels(),
                absent=self._absent_folder(path),
            )
        released = None if self._subset else family.splits[split]
        problems = list(listing_problems(listing, split, released=released))
        chosen = self._choose(listing.records)
        facts = self._inspect(chosen, name)
        problems += _file_problems(facts)
        if family.sizes is not None and not self._subset:
            problems += _size_problems(chosen, facts, family.sizes)
        return SplitReport(
            name=name,
            listed=listing.count,
            records=chosen,
            findings=group(
                problems,
                family.website,
                remedies={findings.MISSING_FILE: listing.remedy} if listing.remedy else None,
            ),
            pixel_counts=sum((fact.pixel_counts for fact in facts), no_pixels()),
        )

    def _absent_folder(self, path: Path | None) -> Path | None:
        """The folder of the whole data set, if a missing path is missing because of it."""
        if path is None or not path.is_relative_to(self._root):
            return None
        folder = self._root / path.relative_to(self._root).parts[0]
        return None if folder.exists() else folder

    def _choose(self, records: list[Record]) -> list[Record]:
        if self._sample is None or self._sample >= len(records):
            return records
        chosen = random.Random(self._seed).sample(range(len(records)), self._sample)
        return [records[k] for k in sorted(chosen)]

    def _inspect(self, records: list[Record], name: str) -> list[PairFacts]:
        executor = ThreadPoolExecutor(self._workers)
        try:
            facts = executor.map(self._inspect_once, records)
            # No bar where standard error is no terminal.
            return list(tqdm(facts, desc=name, total=len(records), unit="pair", disable=None))
        finally:  # an interrupt should not wait for thousands of files
            executor.shutdown(cancel_futures=True)

    def _inspect_once(self, record: Record) -> PairFacts:
        key = tuple(str(record.get(name)) for name in _FILES)
        if key not in self._seen:
            self._seen[key] = inspect_pair(record, fast=self._fast)
        return self._seen[key]


def _file_problems(facts: Sequence[PairFacts]) -> Iterator[Problem]:
    problems = [problem for fact in facts for problem in fact.problems]
    suspected = sum(problem.kind is findings.PERHAPS_TRAIN_IDS for problem in problems)
    for problem in problems:
        if problem.kind is not findings.PERHAPS_TRAIN_IDS or suspected >= _RARE * len(facts):
            yield problem


def _size_problems(
    records: Sequence[Record],
    facts: Sequence[PairFacts],
    sizes: frozenset[tuple[int, int]],
) -> Iterator[Problem]:
    released = " or ".join(size_text(size) for size in sorted(sizes))
    for record, fact in zip(records, facts, strict=True):
        if fact.image_size is not None and fact.image_size not in sizes:
            detail = f"{size_text(fact.image_size)}, the release has {released}"
            yield Problem(findings.FOREIGN_SIZE, record["file_name"], detail)
