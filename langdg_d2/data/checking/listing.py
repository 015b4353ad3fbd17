"""What is wrong with the files of a split before any is opened: their number and their names."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.family import DatasetFamily
from ..datasets.pairing import UnpairedFilesError
from . import findings
from .findings import Kind, Problem
from .headers import is_resource_fork
from .orphans import labels_without_image


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The pairs of a split.

    Attributes:
        records: dataset dicts of the whole pairs.
        count: number of pairs, the broken ones with them.
        missing: files that the broken ones lack.
        remedy: what the data set says to do about these.
    """

    records: list[dict[str, Any]]
    count: int
    missing: tuple[Path, ...] = ()
    remedy: str | None = None


def list_split(family: DatasetFamily, root: Path, split: str) -> Listing:
    """List a split, with the pairs that lack a file.

    Raises:
        DatasetError: if not even a list can be made, for want of a folder for instance.
    """
    try:
        records = family.load(root, split)
    except UnpairedFilesError as error:
        return Listing(
            records=error.records,
            count=error.listed,
            missing=tuple(error.missing),
            remedy=error.remedy,
        )
    return Listing(records=records, count=len(records))


def listing_problems(listing: Listing, split: str, *, released: int | None) -> Iterator[Problem]:
    """Missing, surplus and repeated files.

    Args:
        listing: of the split.
        split: its name.
        released: how many pairs there should be, None for any number.
    """
    for path in listing.missing:
        yield _lone_file(findings.MISSING_FILE, path)
    labelled = [record for record in listing.records if "sem_seg_file_name" in record]
    for path in labels_without_image(labelled, split=split, missing=set(listing.missing)):
        yield _lone_file(findings.LABEL_WITHOUT_IMAGE, path)
    if released is not None and listing.count != released:
        kind = findings.TOO_FEW if listing.count < released else findings.TOO_MANY
        yield Problem(kind, _folder(listing), f"{listing.count:,}, the release has {released:,}")
    times = Counter(record["image_id"] for record in listing.records)
    for record in listing.records:
        image_id = record["image_id"]
        if times[image_id] > 1:
            detail = f"'{image_id}' {times[image_id]} times"
            yield Problem(findings.DUPLICATE, record["file_name"], detail)


def _lone_file(kind: Kind, path: Path) -> Problem:
    # Resource forks come without a partner, which none should go looking for.
    return Problem(findings.RESOURCE_FORK if is_resource_fork(path) else kind, str(path))


def _folder(listing: Listing) -> str:
    images = [record["file_name"] for record in listing.records] or list(map(str, listing.missing))
    return os.path.commonpath([os.path.dirname(image) for image in images])
