"""What can be wrong with a copy of a data set: kinds of problems, cases, and their text."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

_SHOWN = 3  # cases in a text


class Severity(Enum):
    """How much a problem matters."""

    ERROR = 0  # loading fails, or figures are wrong
    WARNING = 1  # worth a look
    NOTE = 2  # harmless


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        title: what is wrong, read after a number of cases.
        remedy: what to do; `{website}` stands for where the data set comes from.
        severity: how much it matters.
    """

    title: str
    remedy: str
    severity: Severity = Severity.ERROR


_AGAIN = "unpack it again, or download it again from {website}"

# The copy as a whole
UNLISTABLE = Kind("the split cannot be listed", "complete the copy; it comes from {website}")
TOO_FEW = Kind(
    "fewer images than the release has",
    "the download or its unpacking is incomplete: get the rest from {website}; for a subset on "
    "purpose, pass --subset",
)
TOO_MANY = Kind(
    "more images than the release has",
    "remove the files that do not belong to this split, or unpack the release of {website} into "
    "an empty folder",
)
MISSING_FILE = Kind("file missing that is one half of an image-label pair", _AGAIN)
LABEL_WITHOUT_IMAGE = Kind(
    "label without an image",
    "unpack the images again, or download them again from {website}; if they were left out on "
    "purpose, move their labels elsewhere",
)
DUPLICATE = Kind(
    "image more than once in the split",
    "keep one of the files, or of the split's entries; others would count double in every figure",
)

# Files of any content
EMPTY = Kind("file of 0 bytes", _AGAIN)
LFS_POINTER = Kind(
    "Git LFS pointer in place of the file",
    "run 'git lfs pull' where the copy was cloned, or download it from {website}",
)
WEB_PAGE = Kind(
    "web page saved under the name of an image",
    "the server answered with a page, often to log in: download it again from {website}",
)
RESOURCE_FORK = Kind(
    "macOS resource fork, or the partner that one would need",
    "delete all of them: find FOLDER -name '._*' -delete",
)
UNREADABLE = Kind("truncated or damaged file", _AGAIN)

# Images and labels
IMAGE_MODE = Kind(
    "image that is not 8-bit RGB",
    "the release has 8-bit RGB images: use its own files from {website}, not a conversion",
)
ALPHA = Kind(
    "image with transparency",
    "transparency is ignored when images are read; use the files of {website} if the release has "
    "none",
    Severity.NOTE,
)
TURNED = Kind(
    "image whose EXIF data turn it",
    "images of data sets are read as stored, since labels are: look at it with --overlays, and "
    "where image and label lie differently, use both as downloaded from {website}",
    Severity.WARNING,
)
BLANK = Kind(
    "image of one single colour",
    "look at it: a failed conversion or an interrupted download may have left it; the originals "
    "come from {website}",
    Severity.WARNING,
)
LABEL_MODE = Kind(
    "label file that does not hold ids as the release stores them",
    "a colour rendering or a conversion may have taken its place: use the label files of {website}",
)
SIZE_MISMATCH = Kind(
    "image and label of different sizes",
    "use the image and the label of one release, both as downloaded from {website}",
)
FOREIGN_SIZE = Kind(
    "image of a size that the release does not have",
    "figures of resized images cannot be compared: use the originals of {website}, and resize in "
    "the configuration; for a resized copy on purpose, pass --subset",
)
OTHER_RELEASE = Kind(
    "deviation from the release",
    "figures of converted, shrunk or other images cannot be compared: use the originals of "
    "{website}; for another copy on purpose, pass --subset",
)
ODD_LABELS = Kind(
    "oddity of a sample of the labels",
    "look at them with --overlays; the originals come from {website}",
    Severity.WARNING,
)
UNKNOWN_IDS = Kind(
    "label with ids that are not in the data set's map",
    "use the label files of the right version, as downloaded from {website}",
)
_KEEP_RAW = (
    "put the original label files of {website} in place: raw labels are mapped when loaded, so no "
    "conversion is needed"
)
TRAIN_IDS_FOR_RAW = Kind("label that holds train ids where raw ids belong", _KEEP_RAW)
PERHAPS_TRAIN_IDS = Kind(
    "label that may hold train ids where raw ids belong, as half of it or more is without a class",
    _KEEP_RAW,
    Severity.WARNING,
)
RAW_FOR_TRAIN_IDS = Kind(
    "label that holds Cityscapes' raw ids where train ids belong",
    "take the files made of train ids, or give raw ones the name that the release gives them, "
    "see {website}",
)
ALL_IGNORED = Kind(
    "label without a single pixel of a class",
    "look at it with --overlays; if it should have classes, get it again from {website}",
    Severity.WARNING,
)


@dataclass(frozen=True)
class Problem:
    """One case of a kind of problem.

    Attributes:
        kind: what is wrong.
        path: file or folder at fault; empty if the problem has no single one.
        detail: what was found.
    """

    kind: Kind
    path: str
    detail: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.detail) if part)


@dataclass(frozen=True)
class Finding:
    """All cases of one kind of problem in a split.

    Attributes:
        kind: what is wrong, and how much it matters.
        problems: every case, in the order of the split's files.
        remedy: what to do, with the source of the data set.
    """

    kind: Kind
    problems: tuple[Problem, ...]
    remedy: str

    @property
    def is_note(self) -> bool:
        """Whether nothing is wrong."""
        return self.kind.severity is Severity.NOTE

    def text(self) -> str:
        """The finding for a terminal, with the first few cases."""
        count = len(self.problems)
        lines = [f"  {self.kind.severity.name}  {count:,} x {self.kind.title}"]
        lines += [f"    {problem}" for problem in self.problems[:_SHOWN]]
        if count > _SHOWN:
            lines.append(f"    ... and {count - _SHOWN:,} more")
        return "\n".join([*lines, f"    Remedy: {self.remedy}"])


def group(
    problems: Iterable[Problem], website: str, *, missing_remedy: str | None = None
) -> tuple[Finding, ...]:
    """Gather problems by kind, errors first, notes last, else in the order of appearance.

    Args:
        problems: of a split.
        website: where the data set comes from.
        missing_remedy: what the data set says to do about missing files, None for nothing special.
    """
    by_kind: dict[Kind, dict[Problem, None]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, {})[problem] = None
    findings = []
    for kind in sorted(by_kind, key=lambda kind: kind.severity.value):
        remedy = kind.remedy.format(website=website)
        if kind is MISSING_FILE and missing_remedy:
            remedy = missing_remedy
        findings.append(Finding(kind, tuple(by_kind[kind]), remedy))
    return tuple(findings)
