"""What is wrong with one image and its label, looked at by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...structures import CITYSCAPES_19, ENCODINGS, LabelEncoding
from ..image_io import ImageFileError, read_rgb
from ..label_ids import IdKind, count_pixels, ids_text, kind_of_ids
from ..label_io import LabelFormatError, read_raw_ids
from . import findings
from .findings import Problem
from .headers import Header, UnusableFileError, read_header

_ALPHA_MODES = frozenset({"RGBA", "LA", "PA"})
_FINDINGS = {
    IdKind.NO_CLASS: findings.ALL_IGNORED,
    IdKind.TRAIN_IDS: findings.TRAIN_IDS_FOR_RAW,
    IdKind.PERHAPS_TRAIN_IDS: findings.PERHAPS_TRAIN_IDS,
    IdKind.RAW_IDS: findings.RAW_FOR_TRAIN_IDS,
}


@dataclass(frozen=True)
class PairFacts:
    """What was found in an image and its label.

    Attributes:
        problems: of either, and of both together.
        image_size: (height, width); None where the image has no readable header.
        pixel_counts: (K + 1,) pixels of each train id, the ignored ones last; zeros where the
            label was not or could not be read.
    """

    problems: tuple[Problem, ...]
    image_size: tuple[int, int] | None
    pixel_counts: npt.NDArray[np.int64]


def no_pixels() -> npt.NDArray[np.int64]:
    """Counts of no pixels at all, (K + 1,)."""
    return np.zeros(len(CITYSCAPES_19) + 1, dtype=np.int64)


def inspect_pair(record: Mapping[str, Any], *, fast: bool) -> PairFacts:
    """Look at the files of a dataset dict; never raises for what is wrong with them.

    Args:
        record: `file_name`; of a labelled image `sem_seg_file_name` and `label_encoding`, too.
        fast: read headers and the files' ends only, no pixels.
    """
    image, label = record["file_name"], record.get("sem_seg_file_name")
    problems: list[Problem] = []
    image_header = _header(image, problems)
    size = image_header.size if image_header else None
    label_header = _header(label, problems) if label else None
    pixel_counts = no_pixels()
    if image_header is not None:
        problems += _image_problems(image, image_header, fast=fast)
    if label is None:
        return PairFacts(tuple(problems), size, pixel_counts)
    encoding = ENCODINGS[record["label_encoding"]]
    if label_header is not None:
        wrong_mode = _label_mode_problem(label, label_header, encoding)
        if wrong_mode is not None:
            problems.append(wrong_mode)
        elif not fast:
            pixel_counts = _count_pixels(label, encoding, problems)
    if image_header and label_header and image_header.size != label_header.size:
        sizes = f"{size_text(label_header.size)}, but '{image}' is {size_text(image_header.size)}"
        problems.append(Problem(findings.SIZE_MISMATCH, label, sizes))
    return PairFacts(tuple(problems), size, pixel_counts)


def size_text(size: tuple[int, int]) -> str:
    """A size as messages give it."""
    height, width = size
    return f"{width}x{height} pixels (width x height)"


def _header(path: str, problems: list[Problem]) -> Header | None:
    try:
        return read_header(Path(path))
    except UnusableFileError as error:
        problems.append(Problem(error.kind, path, error.detail))
        return None


def _image_problems(path: str, header: Header, *, fast: bool) -> list[Problem]:
    problems = []
    if header.orientation != 1:
        detail = f"EXIF orientation {header.orientation}"
        problems.append(Problem(findings.TURNED, path, detail))
    if header.mode in _ALPHA_MODES:
        problems.append(Problem(findings.ALPHA, path, str(header)))
    elif header.mode != "RGB" or header.bits != 8:
        problems.append(Problem(findings.IMAGE_MODE, path, str(header)))
    if fast:
        return problems
    try:
        pixels = read_rgb(path)
    except ImageFileError as error:
        return [*problems, Problem(findings.UNREADABLE, path, _cause(error))]
    if (pixels == pixels[:1, :1]).all():
        problems.append(Problem(findings.BLANK, path, f"RGB {pixels[0, 0].tolist()}"))
    return problems


def _label_mode_problem(path: str, header: Header, encoding: LabelEncoding) -> Problem | None:
    if encoding.channel is not None:
        expected = "16-bit RGB PNG"
        fits = header.mode == "RGB" and header.bits == 16
    else:
        expected = "8-bit grey or palette PNG"
        # Pillow stretches grey values of fewer bits to 0..255, but not palette indices.
        fits = header.mode == "P" or (header.mode == "L" and header.bits == 8)
    if fits and header.format == "PNG":  # the compression of others may make up ids
        return None
    return Problem(findings.LABEL_MODE, path, f"{header}, expected {expected}")


def _count_pixels(
    path: str, encoding: LabelEncoding, problems: list[Problem]
) -> npt.NDArray[np.int64]:
    try:
        raw = read_raw_ids(path, encoding)
    except LabelFormatError as error:
        problems.append(Problem(findings.LABEL_MODE, path, _cause(error)))
        return no_pixels()
    except ImageFileError as error:
        problems.append(Problem(findings.UNREADABLE, path, _cause(error)))
        return no_pixels()
    present, pixel_counts = count_pixels(raw, encoding)
    kind = kind_of_ids(present, pixel_counts, encoding)
    if kind is IdKind.UNKNOWN:
        unknown = sorted(set(present) - set(encoding.raw_to_train))
        detail = f"holds {ids_text(unknown)}, which {encoding.name} do not have"
        problems.append(Problem(findings.UNKNOWN_IDS, path, detail))
    elif kind is not IdKind.FITTING:
        detail = f"holds {ids_text(present)}; to be read as {encoding.name}"
        problems.append(Problem(_FINDINGS[kind], path, detail))
    return pixel_counts


def _cause(error: ImageFileError) -> str:
    return str(error.__cause__ or error)
