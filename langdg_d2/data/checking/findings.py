"""What can be wrong with a copy of a data set: every kind of problem, and its remedy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a problem matters."""

    ERROR = "error"  # loading fails, or figures are wrong
    WARNING = "warning"  # worth a look
    NOTE = "note"  # harmless


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        severity: how much it matters.
        title: what is wrong, read after a number of cases.
        remedy: what to do; `{website}` stands for where the data set comes from.
    """

    severity: Severity
    title: str
    remedy: str


_AGAIN = "unpack it again, or download it again from {website}"

# The copy as a whole
UNLISTABLE = Kind(
    Severity.ERROR, "the split cannot be listed", "complete the copy; it comes from {website}"
)
TOO_FEW = Kind(
    Severity.ERROR,
    "fewer images than the release has",
    "the download or its unpacking is incomplete: get the rest from {website}; for a subset on "
    "purpose, pass --subset",
)
TOO_MANY = Kind(
    Severity.ERROR,
    "more images than the release has",
    "remove the files that do not belong to this split, or unpack the release of {website} into "
    "an empty folder",
)
MISSING_FILE = Kind(Severity.ERROR, "file missing that is one half of an image-label pair", _AGAIN)
LABEL_WITHOUT_IMAGE = Kind(
    Severity.ERROR,
    "label without an image",
    "unpack the images again, or download them again from {website}; if they were left out on "
    "purpose, move their labels elsewhere",
)
DUPLICATE = Kind(
    Severity.ERROR,
    "image more than once in the split",
    "keep one of the files, or of the split's entries; others would count double in every figure",
)

# A file, whatever it should hold
EMPTY = Kind(Severity.ERROR, "file of 0 bytes", _AGAIN)
LFS_POINTER = Kind(
    Severity.ERROR,
    "Git LFS pointer in place of the file",
    "run 'git lfs pull' where the copy was cloned, or download it from {website}",
)
WEB_PAGE = Kind(
    Severity.ERROR,
    "web page saved under the name of an image",
    "the server answered with a page, often to log in: download it again from {website}",
)
RESOURCE_FORK = Kind(
    Severity.ERROR,
    "macOS resource fork, or the partner that one would need",
    "delete all of them: find FOLDER -name '._*' -delete",
)
UNREADABLE = Kind(Severity.ERROR, "truncated or damaged file", _AGAIN)

# Images and labels
IMAGE_MODE = Kind(
    Severity.ERROR,
    "image that is not 8-bit RGB",
    "the release has 8-bit RGB images: use its own files from {website}, not a conversion",
)
ALPHA = Kind(
    Severity.NOTE,
    "image with transparency",
    "transparency is ignored when images are read; use the files of {website} if the release has "
    "none",
)
TURNED = Kind(
    Severity.WARNING,
    "image whose EXIF data turn it",
    "images of data sets are read as stored, since labels are: look at it with --overlays, and "
    "where image and label lie differently, use both as downloaded from {website}",
)
BLANK = Kind(
    Severity.WARNING,
    "image of one single colour",
    "look at it: a failed conversion or an interrupted download may have left it; the originals "
    "come from {website}",
)
LABEL_MODE = Kind(
    Severity.ERROR,
    "label file that does not hold ids as the release stores them",
    "a colour rendering or a conversion may have taken its place: use the label files of {website}",
)
SIZE_MISMATCH = Kind(
    Severity.ERROR,
    "image and label of different sizes",
    "use the image and the label of one release, both as downloaded from {website}",
)
FOREIGN_SIZE = Kind(
    Severity.ERROR,
    "image of a size that the release does not have",
    "figures of resized images cannot be compared: use the originals of {website}, and resize in "
    "the configuration; for a resized copy on purpose, pass --subset",
)
UNKNOWN_IDS = Kind(
    Severity.ERROR,
    "label with ids that are not in the data set's map",
    "use the label files of the right version, as downloaded from {website}",
)
_KEEP_RAW = (
    "put the original label files of {website} in place: raw labels are mapped when loaded, so no "
    "conversion is needed"
)
TRAIN_IDS_FOR_RAW = Kind(
    Severity.ERROR, "label that holds train ids where raw ids belong", _KEEP_RAW
)
PERHAPS_TRAIN_IDS = Kind(
    Severity.WARNING,
    "label that may hold train ids where raw ids belong, as half of it or more is without a class",
    _KEEP_RAW,
)
RAW_FOR_TRAIN_IDS = Kind(
    Severity.ERROR,
    "label that holds Cityscapes' raw ids where train ids belong",
    "take the files made of train ids, or give raw ones the name that the release gives them, "
    "see {website}",
)
ALL_IGNORED = Kind(
    Severity.WARNING,
    "label without a single pixel of a class",
    "look at it with --overlays; if it should have classes, get it again from {website}",
)


@dataclass(frozen=True)
class Problem:
    """One case of a kind of problem.

    Attributes:
        kind: what is wrong.
        path: file or folder at fault; empty where it is none in particular.
        detail: what was found.
    """

    kind: Kind
    path: str
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """All cases of one kind of problem in a split.

    Attributes:
        kind: what is wrong, how much it matters, what to do.
        problems: every case, in the order of the split's files.
        website: where the data set comes from.
        special: what the data set itself says to do; None for the remedy of the kind.
    """

    kind: Kind
    problems: tuple[Problem, ...]
    website: str
    special: str | None = None

    @property
    def remedy(self) -> str:
        """What to do, with the source of the data set."""
        return self.special or self.kind.remedy.format(website=self.website)

    @property
    def is_note(self) -> bool:
        """Whether nothing is wrong."""
        return self.kind.severity is Severity.NOTE


def group(
    problems: Iterable[Problem], website: str, *, remedies: Mapping[Kind, str] | None = None
) -> tuple[Finding, ...]:
    """Gather problems by kind, errors first, notes last, else in the order of appearance.

    Args:
        problems: of a split.
        website: where the data set comes from.
        remedies: what the data set says to do about some kinds.
    """
    special = remedies or {}
    by_kind: dict[Kind, dict[Problem, None]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, {})[problem] = None
    severities = list(Severity)
    kinds = sorted(by_kind, key=lambda kind: severities.index(kind.severity))
    return tuple(Finding(kind, tuple(by_kind[kind]), website, special.get(kind)) for kind in kinds)
