"""Checks of data sets on disk: all problems of a split, with files and remedies."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tabulate import tabulate
from tqdm import tqdm

from ..structures import CITYSCAPES_19, LabelEncoding
from ..utils.untrusted import LFS_POINTER, WEB_PAGES
from . import findings
from .datasets.family import DatasetFamily
from .datasets.folders import DatasetError
from .findings import Finding, Problem, group
from .image_io import (
    ImageFileError,
    lacks_end,
    open_image,
    orientation,
    read_rgb,
    stored_as,
)
from .label_io import (
    IdKind,
    LabelFormatError,
    content_of,
    encoding_of,
    format_fault,
    read_raw_ids,
)
from .label_sample import ids_text, label_oddities

Record = dict[str, Any]
Counts = npt.NDArray[np.int64]

_FILES = ("file_name", "sem_seg_file_name", "label_encoding")
_LOOKED_AT = 1024  # bytes at the start of a file
_ALPHA_MODES = ("RGBA", "LA", "PA")
_FINDINGS = {
    IdKind.NO_CLASS: findings.ALL_IGNORED,
    IdKind.TRAIN_IDS: findings.TRAIN_IDS_FOR_RAW,
    IdKind.PERHAPS_TRAIN_IDS: findings.PERHAPS_TRAIN_IDS,
    IdKind.RAW_IDS: findings.RAW_FOR_TRAIN_IDS,
}


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """Result of a check.

    Attributes:
        name: registered name of the split.
        listed: number of image-label pairs that the split names.
        records: dataset dicts of the pairs whose files were looked at.
        findings: problems and notes; a good copy has only notes.
        pixel_counts: (K + 1,) pixels of each train id in these pairs, the ignored ones last.
        absent: the data set's folder, if it does not exist.
    """

    name: str
    listed: int
    records: Sequence[Record]
    findings: tuple[Finding, ...]
    pixel_counts: Counts
    absent: Path | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.is_note for finding in self.findings)

    def text(self) -> str:
        """Every finding for a terminal: number, examples and remedy."""
        count = sum(not finding.is_note for finding in self.findings)
        verdict = f"{count} kind{'s' * (count > 1)} of problem" if count else "no problem found"
        labelled = all("sem_seg_file_name" in record for record in self.records)
        listed = f"{self.listed:,} {'pairs' if labelled else 'images'}"
        head = f"{self.name}: {listed}, {len(self.records):,} looked at: {verdict}"
        return "\n".join([head, *(finding.text() for finding in self.findings)])


@dataclass(kw_only=True)
class CopyCheck:
    """Checks splits of data sets; a pair that several splits share is looked at once.

    Attributes:
        root: folder of the data sets.
        subset: whether fewer or smaller images than in the release are intended.
        sample: number of pairs of each split to look at, drawn at random; None for all. Names are
            checked for every pair.
        fast: read headers and ends of the files only, not their pixels.
        seed: of the random draw.
        workers: threads that read files.
    """

    root: Path
    subset: bool = False
    sample: int | None = None
    fast: bool = False
    seed: int = 0
    workers: int = 1
    _seen: dict[tuple[str, ...], "_PairFacts"] = field(default_factory=dict, init=False)

    def check(self, family: DatasetFamily, split: str) -> SplitReport:
        """Check one split; never raises for problems of the copy."""
        name, folder = family.registered_name(split), self.root / family.folder
        try:
            records, missing, listed = family.find(self.root, split)
            lone = list(family.lone_labels(self.root, split))
        except (DatasetError, OSError, UnicodeError) as error:
            problem = Problem(findings.UNLISTABLE, "", str(error))
            return SplitReport(
                name=name,
                listed=0,
                records=(),
                findings=group([problem], family.website),
                pixel_counts=_no_pixels(),
                absent=None if folder.exists() else folder,
            )
        chosen = self._choose(records)
        facts = self._inspect(chosen, name)
        problems = [*_name_problems(records, missing, lone)]
        problems += [problem for fact in facts for problem in fact.problems]
        odd = () if self.fast else label_oddities(chosen)
        problems += [Problem(findings.ODD_LABELS, str(folder), text) for text in odd]
        if not self.subset:
            problems += _release_problems(family, split, listed, folder)
            problems += _size_problems(family, chosen, facts)
            problems += _format_problems(family, split, chosen, facts)
        return SplitReport(
            name=name,
            listed=listed,
            records=chosen,
            findings=group(problems, family.website, missing_remedy=family.remedy(self.root)),
            pixel_counts=sum((fact.pixel_counts for fact in facts), _no_pixels()),
        )

    def _choose(self, records: list[Record]) -> list[Record]:
        if self.sample is None or self.sample >= len(records):
            return records
        chosen = random.Random(self.seed).sample(range(len(records)), self.sample)
        return [records[k] for k in sorted(chosen)]

    def _inspect(self, records: list[Record], name: str) -> list["_PairFacts"]:
        executor = ThreadPoolExecutor(self.workers)
        try:
            facts = executor.map(self._inspect_once, records)
            # No bar where standard error is not a terminal.
            return list(tqdm(facts, desc=name, total=len(records), unit="pair", disable=None))
        finally:  # an interrupt should not wait for thousands of files
            executor.shutdown(cancel_futures=True)

    def _inspect_once(self, record: Record) -> "_PairFacts":
        key = tuple(str(record.get(name)) for name in _FILES)
        if key not in self._seen:
            self._seen[key] = _inspect_pair(record, fast=self.fast)
        return self._seen[key]


def shares_table(reports: Sequence[SplitReport]) -> str:
    """Share of the pixels of each class, a row per class and a column per split.

    Splits whose labels were not read are left out; empty if that holds for all.
    """
    names = CITYSCAPES_19.names
    columns: dict[str, list[str]] = {}
    never: list[str] = []
    for report in reports:
        counts = report.pixel_counts
        if not counts.any():
            continue
        shares = 100 * counts / counts.sum()
        columns[report.name] = [f"{share:.3f}" if share else "never" for share in shares]
        lacking = [name for name, count in zip(names, counts, strict=False) if not count]
        if lacking:
            never.append(f"{report.name} has no pixel of: {', '.join(lacking)}")
    if not columns:
        return ""
    rows = {"share of pixels in %": [*names, "(no class)"]} | columns
    align = ("left", *["right"] * len(columns))
    table = tabulate(rows, headers="keys", disable_numparse=True, colalign=align)
    return "\n".join([table, *never])


def _release_problems(
    family: DatasetFamily, split: str, listed: int, folder: Path
) -> Iterator[Problem]:
    """A number of pairs that is not the release's."""
    released = family.splits[split]
    if released is not None and listed != released:
        kind = findings.TOO_FEW if listed < released else findings.TOO_MANY
        yield Problem(kind, str(folder), f"{listed:,}, the release has {released:,}")


def _name_problems(
    records: list[Record], missing: list[Path], lone: list[tuple[Path, Path]]
) -> Iterator[Problem]:
    """Missing, surplus and repeated files."""
    absent = {path.with_suffix("") for path in missing}
    surplus = [label for label, image in lone if image not in absent]
    for kind, paths in ((findings.MISSING_FILE, missing), (findings.LABEL_WITHOUT_IMAGE, surplus)):
        for path in paths:
            # Resource forks come without a partner, which none should go looking for.
            yield Problem(findings.RESOURCE_FORK if _is_resource_fork(path) else kind, str(path))
    times = Counter(record["image_id"] for record in records)
    for record in records:
        if (count := times[record["image_id"]]) > 1:
            detail = f"'{record['image_id']}' {count} times"
            yield Problem(findings.DUPLICATE, record["file_name"], detail)


def _is_resource_fork(path: Path) -> bool:
    """Whether a name is that of the file in which macOS keeps what it knows about another."""
    return path.name.startswith("._")


class _Header(NamedTuple):
    """Header of an image file: (height, width), mode, `stored_as`, EXIF orientation."""

    size: tuple[int, int]
    mode: str
    stored: str
    orientation: int


class _PairFacts(NamedTuple):
    """Facts about an image and its label.

    Attributes:
        problems: problems of the two files, alone and together.
        image_size: (height, width); None where the image has no readable header.
        image_format: as Pillow calls it.
        pixel_counts: (K + 1,) pixels of each train id, the ignored ones last; zeros where the
            label was not or could not be read.
    """

    problems: tuple[Problem, ...]
    image_size: tuple[int, int] | None
    image_format: str | None
    pixel_counts: Counts


def _no_pixels() -> Counts:
    return np.zeros(len(CITYSCAPES_19) + 1, dtype=np.int64)


def _inspect_pair(record: Mapping[str, Any], *, fast: bool) -> _PairFacts:
    """Look at the files of a dataset dict, without pixels if `fast`; never raises for them."""
    image, label = record["file_name"], record.get("sem_seg_file_name")
    headers = {path: _read_header(path) for path in (image, label) if path}
    problems = [header for header in headers.values() if isinstance(header, Problem)]
    counts, size, kind = _no_pixels(), None, None
    image_header, label_header = headers[image], headers.get(label)
    if isinstance(image_header, _Header):
        size, kind = image_header.size, image_header.stored.rpartition(" ")[2]
        problems += _image_problems(image, image_header, fast=fast)
    if label is not None and isinstance(label_header, _Header):
        encoding = encoding_of(record)
        if fault := format_fault(label_header.stored, encoding):
            problems.append(Problem(findings.LABEL_MODE, label, fault))
        elif not fast:
            counts = _count_classes(label, encoding, problems)
        if size is not None and size != label_header.size:
            sizes = f"{_size(label_header.size)}, but '{image}' is {_size(size)}"
            problems.append(Problem(findings.SIZE_MISMATCH, label, sizes))
    return _PairFacts(tuple(problems), size, kind, counts)


def _read_header(path: str) -> _Header | Problem:
    """Header of an image file with a complete end; or the problem."""
    if _is_resource_fork(Path(path)):
        return Problem(findings.RESOURCE_FORK, path)
    try:
        with Path(path).open("rb") as file:
            start = file.read(_LOOKED_AT)
            if not start:
                return Problem(findings.EMPTY, path)
            if start.startswith(LFS_POINTER):
                return Problem(findings.LFS_POINTER, path)
            if start.lstrip().lower().startswith(WEB_PAGES):
                return Problem(findings.WEB_PAGE, path)
            with open_image(file) as image:
                size, kind = (image.height, image.width), image.format or ""
                header = _Header(size, image.mode, stored_as(image), orientation(image))
            if lacks_end(file, kind):
                detail = f"the end of the {kind} data is missing"
                return Problem(findings.UNREADABLE, path, detail)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Problem(findings.UNREADABLE, path, str(error))
    return header


def _image_problems(path: str, header: _Header, *, fast: bool) -> Iterator[Problem]:
    if header.orientation != 1:
        yield Problem(findings.TURNED, path, f"EXIF orientation {header.orientation}")
    if header.mode in _ALPHA_MODES:
        yield Problem(findings.ALPHA, path, header.stored)
    elif not header.stored.startswith("8-bit RGB "):
        yield Problem(findings.IMAGE_MODE, path, header.stored)
    if fast:
        return
    try:
        pixels = read_rgb(path)
    except ImageFileError as error:
        yield _unreadable(path, error)
        return
    if (pixels == pixels[:1, :1]).all():
        yield Problem(findings.BLANK, path, f"RGB {pixels[0, 0].tolist()}")


def _count_classes(path: str, encoding: LabelEncoding, problems: list[Problem]) -> Counts:
    try:
        raw = read_raw_ids(path, encoding)
    except ImageFileError as error:
        problems.append(_unreadable(path, error))
        return _no_pixels()
    present, counts, kind = content_of(raw, encoding)
    if kind is IdKind.UNKNOWN:
        unknown = sorted(set(present) - set(encoding.raw_to_train))
        detail = f"holds {ids_text(unknown)}, which {encoding.name} do not have"
        problems.append(Problem(findings.UNKNOWN_IDS, path, detail))
    elif kind is not IdKind.FITTING:
        detail = f"holds {ids_text(present)}; to be read as {encoding.name}"
        problems.append(Problem(_FINDINGS[kind], path, detail))
    return counts


def _unreadable(path: str, error: ImageFileError) -> Problem:
    kind = findings.LABEL_MODE if isinstance(error, LabelFormatError) else findings.UNREADABLE
    return Problem(kind, path, str(error.__cause__ or error))


def _size_problems(
    family: DatasetFamily, records: Sequence[Record], facts: Sequence[_PairFacts]
) -> Iterator[Problem]:
    """Images of sizes that the release does not have."""
    released = " or ".join(map(_size, sorted(family.sizes or ())))
    for record, fact in zip(records, facts, strict=True):
        if family.sizes and fact.image_size is not None and fact.image_size not in family.sizes:
            detail = f"{_size(fact.image_size)}, the release has {released}"
            yield Problem(findings.FOREIGN_SIZE, record["file_name"], detail)


def _format_problems(
    family: DatasetFamily, split: str, records: Sequence[Record], facts: Sequence[_PairFacts]
) -> Iterator[Problem]:
    """Deviations from the release in what single images do not show."""
    images = [
        (record["file_name"], fact.image_format, fact.image_size)
        for record, fact in zip(records, facts, strict=True)
        if fact.image_size is not None
    ]
    for text in replace(family, sizes=None).deviations(split, images):
        yield Problem(findings.OTHER_RELEASE, str(records[0]["file_name"]), text)


def _size(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height} pixels (width x height)"
