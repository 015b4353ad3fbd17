"""Checks of data sets on disk, which report all problems of a split with files and remedies."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tabulate import tabulate
from tqdm import tqdm

from ..structures import CITYSCAPES_19
from .datasets.family import DatasetFamily
from .datasets.folders import DatasetError
from .image_io import ImageFileError, opened, orientation, read_rgb, stored_as
from .label_io import IdKind, LabelFormatError, content_of, encoding_of, read_raw_ids
from .label_sample import ids_text, image_oddity, label_oddities

Record = dict[str, Any]
Counts = npt.NDArray[np.int64]
_Image = tuple[str, str | None, tuple[int, int]]  # file name, format, (height, width)

_SHOWN = 3  # cases of a problem shown in a report
_FILES = ("file_name", "sem_seg_file_name", "label_encoding")
_ALPHA_MODES = ("RGBA", "LA", "PA")
_WARNING, _NOTE = "WARNING", "NOTE"


class Kind(Enum):
    """A kind of problem; the most severe kinds come first.

    Attributes:
        title: description, shown after the number of cases.
        remedy: how to fix it; `{website}` stands for the website of the data set.
        severity: "ERROR" if loading fails or scores would be wrong, "WARNING" if the files should
            be inspected, "NOTE" if it is harmless.
    """

    UNLISTABLE = "the split cannot be listed", "complete the copy; it comes from {website}"
    MISSING_FILE = (
        "missing image or label",
        "unpack it again, or download it again from {website}",
    )
    LABEL_WITHOUT_IMAGE = (
        "label without an image",
        "unpack the images again, or download them again from {website}; if they were left out on "
        "purpose, move their labels elsewhere",
    )
    RESOURCE_FORK = (
        "macOS resource fork, or the missing other half of its pair",
        "delete all of them: find FOLDER -name '._*' -delete",
    )
    DUPLICATE = (
        "image more than once in the split",
        "keep one of the files, or of the split's entries; the others would count double",
    )
    UNREADABLE = (
        "file that cannot be read",
        "where it is truncated, damaged or another file under its name, unpack it again, or "
        "download it again from {website}",
    )
    IMAGE_MODE = (
        "image that is not 8-bit RGB",
        "the release has 8-bit RGB images: use its own files from {website}, not a conversion",
    )
    LABEL_MODE = (
        "label file that does not hold ids as the release stores them",
        "a colour rendering or a conversion may have taken its place: use the label files of "
        "{website}",
    )
    SIZE_MISMATCH = (
        "image and label of different sizes",
        "use the image and the label of one release, both as downloaded from {website}",
    )
    WRONG_IDS = (
        "label with wrong ids",
        "use the label files of the right version, under their own names, as downloaded from "
        "{website}: ids are mapped when they are loaded, so no conversion is needed",
    )
    OTHER_RELEASE = (
        "difference from the release",
        "scores on other images cannot be compared: get what is missing from {website}, and "
        "remove what does not belong there; for a subset or a resized copy, pass --subset",
    )
    TURNED = (
        "image whose EXIF data turn it",
        "images of data sets are read as stored, since labels are: look at it with --overlays, "
        "and where image and label lie differently, use both as downloaded from {website}",
        _WARNING,
    )
    ODD_IMAGE = (
        "image of one colour, without colours, or dark",
        "look at it: a failed conversion or an interrupted download may have left it; the "
        "originals come from {website}",
        _WARNING,
    )
    ODD_LABEL = (
        "label, or sample of labels, that looks wrong",
        "look at them with --overlays; the originals come from {website}, and are read without a "
        "conversion",
        _WARNING,
    )
    ALPHA = (
        "image with transparency",
        "transparency is ignored when images are read; use the files of {website} if the release "
        "has none",
        _NOTE,
    )

    def __init__(self, title: str, remedy: str, severity: str = "ERROR") -> None:
        self.title = title
        self.remedy = remedy
        self.severity = severity


class Problem(NamedTuple):
    """One case of a problem: the file or folder, and the finding."""

    kind: Kind
    path: str
    detail: str = ""

    def __str__(self) -> str:
        if self.path in self.detail:
            return self.detail
        return f"{self.path}: {self.detail}" if self.detail else self.path


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """Result of a check.

    Attributes:
        name: registered name of the split.
        problems: cases by kind, the most severe kind first; a good copy has only notes.
        remedies: remedies by kind.
        listed: number of image-label pairs in the split.
        records: dataset dicts of the pairs whose files were read.
        pixel_counts: (K + 1,) number of pixels of each train id in these pairs, ignored ones last.
        absent: the data set's folder, if it does not exist.
    """

    name: str
    problems: Mapping[Kind, Sequence[Problem]]
    remedies: Mapping[Kind, str]
    listed: int
    records: Sequence[Record]
    pixel_counts: Counts
    absent: Path | None

    @property
    def is_good(self) -> bool:
        """Whether there are no errors or warnings."""
        return all(kind.severity == _NOTE for kind in self.problems)

    def text(self) -> str:
        """Format all problems for a terminal, with numbers, examples and remedies."""
        count = sum(kind.severity != _NOTE for kind in self.problems)
        verdict = f"{count} kind{'s' * (count > 1)} of problem" if count else "no problem found"
        labelled = all("sem_seg_file_name" in record for record in self.records)
        listed = f"{self.listed:,} {'pairs' if labelled else 'images'}"
        lines = [f"{self.name}: {listed}, {len(self.records):,} looked at: {verdict}"]
        for kind, cases in self.problems.items():
            lines.append(f"  {kind.severity}  {len(cases):,} x {kind.title}")
            lines += [f"    {case}" for case in cases[:_SHOWN]]
            if len(cases) > _SHOWN:
                lines.append(f"    ... and {len(cases) - _SHOWN:,} more")
            lines.append(f"    Remedy: {self.remedies[kind]}")
        return "\n".join(lines)


@dataclass(kw_only=True)
class CopyCheck:
    """Checks splits of data sets; pairs that several splits share are read once.

    Attributes:
        root: root folder of the data sets.
        subset: accept fewer or smaller images than in the release.
        sample: number of random pairs to read per split; None for all. File names are always
            checked for all pairs.
        seed: seed of the random sample.
        workers: number of reader threads.
    """

    root: Path
    subset: bool = False
    sample: int | None = None
    seed: int = 0
    workers: int = 1
    # Pairs that are in several splits, such as those of ACDC and its conditions.
    _seen: dict[tuple[str, ...], "_PairFacts"] = field(default_factory=dict, init=False)

    def check(self, family: DatasetFamily, split: str) -> SplitReport:
        """Check one split; problems of the copy never raise."""
        name, folder = family.registered_name(split), self.root / family.folder
        records: list[Record] = []
        facts: list[_PairFacts] = []
        listed, absent = 0, None
        try:
            records, missing, listed = family.find(self.root, split)
            lone = list(family.lone_labels(self.root, split))
        except (DatasetError, OSError, UnicodeError) as error:
            problems = [Problem(Kind.UNLISTABLE, "", str(error))]
            absent = None if folder.exists() else folder
        else:
            problems = [*_name_problems(records, missing, lone)]
            records = self._choose(records)
            oddities = label_oddities(records)
            problems += [Problem(Kind.ODD_LABEL, str(folder), text) for text in oddities]
            facts = self._inspect(records, name)
            problems += [problem for fact in facts for problem in fact.problems]
            images = [fact.image for fact in facts if fact.image is not None]
            if not self.subset and (text := family.departure(split, listed, images)):
                problems.append(Problem(Kind.OTHER_RELEASE, str(folder), text))
        # Without duplicates, which an image that is listed twice would cause.
        by_kind = {
            kind: list(dict.fromkeys(problem for problem in problems if problem.kind is kind))
            for kind in Kind
        }
        found = {kind: cases for kind, cases in by_kind.items() if cases}
        remedies = {kind: kind.remedy.format(website=family.website) for kind in found}
        if Kind.MISSING_FILE in found and (special := family.remedy(self.root)):
            remedies[Kind.MISSING_FILE] = special
        return SplitReport(
            name=name,
            problems=found,
            remedies=remedies,
            listed=listed,
            records=records,
            pixel_counts=sum((fact.pixel_counts for fact in facts), _no_pixels()),
            absent=absent,
        )

    def _choose(self, records: list[Record]) -> list[Record]:
        if self.sample is None or self.sample >= len(records):
            return records
        chosen = random.Random(self.seed).sample(range(len(records)), self.sample)
        return [records[k] for k in sorted(chosen)]  # in the order of the split

    def _inspect(self, records: list[Record], name: str) -> list["_PairFacts"]:
        executor = ThreadPoolExecutor(self.workers)
        try:
            facts = executor.map(self._inspect_once, records)
            # No progress bar if standard error is not a terminal.
            return list(tqdm(facts, desc=name, total=len(records), unit="pair", disable=None))
        finally:  # an interrupt should not wait for thousands of files
            executor.shutdown(cancel_futures=True)

    def _inspect_once(self, record: Record) -> "_PairFacts":
        key = tuple(str(record.get(name)) for name in _FILES)
        if key not in self._seen:
            self._seen[key] = _inspect_pair(record)
        return self._seen[key]


def shares_table(reports: Sequence[SplitReport]) -> str:
    """Format the share of pixels per class, with a row per class and a column per split.

    Splits whose labels were not read are left out; the text is empty without any split.
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


def _name_problems(
    records: list[Record], missing: list[Path], lone: list[tuple[Path, Path]]
) -> Iterator[Problem]:
    """Find missing, surplus and duplicate files."""
    absent = {path.with_suffix("") for path in missing}
    surplus = [label for label, image in lone if image not in absent]
    for kind, paths in ((Kind.MISSING_FILE, missing), (Kind.LABEL_WITHOUT_IMAGE, surplus)):
        for path in paths:
            yield Problem(_unless_fork(path, kind), str(path))
    # Prediction files and tables identify images by their id.
    times = Counter(record["image_id"] for record in records)
    for record in records:
        if (count := times[record["image_id"]]) > 1:
            detail = f"'{record['image_id']}' {count} times"
            yield Problem(Kind.DUPLICATE, record["file_name"], detail)


def _unless_fork(path: str | Path, kind: Kind) -> Kind:
    """Return the kind of a file's problem; resource forks of macOS are a kind of their own."""
    return Kind.RESOURCE_FORK if Path(path).name.startswith("._") else kind


class _PairFacts(NamedTuple):
    """Findings about an image and its label.

    Attributes:
        problems: problems of the two files and of the pair.
        image: file name, format and size; None if the image cannot be read.
        pixel_counts: (K + 1,) number of pixels of each train id, ignored ones last; zeros if the
            label cannot be read.
    """

    problems: list[Problem]
    image: _Image | None
    pixel_counts: Counts


def _no_pixels() -> Counts:
    return np.zeros(len(CITYSCAPES_19) + 1, dtype=np.int64)


def _inspect_pair(record: Record) -> _PairFacts:
    """Read and check the files of a dataset dict; bad files never raise."""
    problems: list[Problem] = []
    image = _inspect_image(record["file_name"], problems)
    raw, counts = None, _no_pixels()
    label = record.get("sem_seg_file_name", "")
    if label:
        encoding = encoding_of(record)
        try:
            raw = read_raw_ids(label, encoding)
        except LabelFormatError as error:
            problems.append(Problem(Kind.LABEL_MODE, label, str(error)))
        except ImageFileError as error:
            problems.append(Problem(_unless_fork(label, Kind.UNREADABLE), label, str(error)))
    if raw is not None:
        content = content_of(raw, encoding)
        counts = content.pixels
        if content.kind is not IdKind.FITTING:
            fault = Kind.WRONG_IDS if content.unknown else Kind.ODD_LABEL
            ids = ids_text(content.unknown or content.present)
            detail = f"contains {content.kind.value}: {ids}; read as {encoding.name}"
            problems.append(Problem(fault, label, detail))
    if image and raw is not None and image[2] != raw.shape:
        sizes = [f"{height}x{width}" for height, width in (raw.shape, image[2])]
        detail = f"{sizes[0]}, but '{image[0]}' is {sizes[1]} (height x width)"
        problems.append(Problem(Kind.SIZE_MISMATCH, label, detail))
    return _PairFacts(problems, image, counts)


def _inspect_image(file: str, problems: list[Problem]) -> _Image | None:
    """Read an image and append its problems; returns None if it cannot be read."""
    try:
        with opened(file) as (_, image):
            kind, stored, turn = image.format, stored_as(image), orientation(image)
            has_alpha = image.mode in _ALPHA_MODES
        pixels = read_rgb(file)
    except ImageFileError as error:
        problems.append(Problem(_unless_fork(file, Kind.UNREADABLE), file, str(error)))
        return None
    if turn != 1:
        problems.append(Problem(Kind.TURNED, file, f"EXIF orientation {turn}"))
    if has_alpha:
        problems.append(Problem(Kind.ALPHA, file, stored))
    if not (has_alpha or stored.startswith("8-bit RGB ")):
        problems.append(Problem(Kind.IMAGE_MODE, file, stored))
    elif (pixels == pixels[:1, :1]).all():
        problems.append(Problem(Kind.ODD_IMAGE, file, f"RGB {pixels[0, 0].tolist()} alone"))
    elif oddity := image_oddity(pixels):
        problems.append(Problem(Kind.ODD_IMAGE, file, oddity))
    return file, kind, pixels.shape[:2]
