"""What is wrong with one image and its label, looked at by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...structures import CITYSCAPES_19, ENCODINGS, LabelEncoding
from ...structures.label_maps import CITYSCAPES_LABEL_IDS, TRAIN_IDS
from ..image_io import ImageFileError, read_raw_ids, read_rgb
from . import findings
from .findings import Problem
from .headers import Header, UnusableFileError, read_header

_ALPHA_MODES = frozenset({"RGBA", "LA", "PA"})
_CLASS_IDS = {k: k for k in range(len(CITYSCAPES_19))}
_LARGE = 0.5  # share of pixels without a class; train ids read as raw ids leave about as many
_MOST_IDS = 8  # in a message


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
        record: `file_name`, `sem_seg_file_name` and `label_encoding`.
        fast: read headers and the files' ends only, no pixels.
    """
    image, label = record["file_name"], record["sem_seg_file_name"]
    encoding = ENCODINGS[record["label_encoding"]]
    problems: list[Problem] = []
    image_header = _header(image, problems)
    label_header = _header(label, problems)
    pixel_counts = no_pixels()
    if image_header is not None:
        problems += _image_problems(image, image_header, fast=fast)
    if label_header is not None:
        wrong_mode = _label_mode_problem(label, label_header, encoding)
        if wrong_mode is not None:
            problems.append(wrong_mode)
        elif not fast:
            pixel_counts = _count_pixels(label, encoding, problems)
    if image_header and label_header and image_header.size != label_header.size:
        sizes = f"{size_text(label_header.size)}, but '{image}' is {size_text(image_header.size)}"
        problems.append(Problem(findings.SIZE_MISMATCH, label, sizes))
    size = image_header.size if image_header else None
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
    except ImageFileError as error:
        problems.append(Problem(findings.UNREADABLE, path, _cause(error)))
        return no_pixels()
    by_raw_id = np.bincount(raw.ravel())
    present = np.flatnonzero(by_raw_id).tolist()
    pixel_counts = no_pixels()
    for raw_id in present:
        train_id = encoding.raw_to_train.get(raw_id, CITYSCAPES_19.ignore_label)
        pixel_counts[min(train_id, len(CITYSCAPES_19))] += by_raw_id[raw_id]
    problems += _id_problems(path, encoding, present, pixel_counts)
    return pixel_counts


def _id_problems(
    path: str, encoding: LabelEncoding, present: list[int], pixel_counts: npt.NDArray[np.int64]
) -> list[Problem]:
    unknown = sorted(set(present) - set(encoding.raw_to_train))
    ignored = pixel_counts[-1] / pixel_counts.sum()
    detail = f"holds {_shortened(present)}; to be read as {encoding.name}"
    holds_train_ids = encoding.raw_to_train.items() >= _CLASS_IDS.items()
    if unknown:
        other = CITYSCAPES_LABEL_IDS if holds_train_ids else TRAIN_IDS
        if set(present) <= set(other.raw_to_train):
            kind = findings.RAW_FOR_TRAIN_IDS if holds_train_ids else findings.TRAIN_IDS_FOR_RAW
            return [Problem(kind, path, detail)]
        detail = f"holds {_shortened(unknown)}, which {encoding.name} do not have"
        return [Problem(findings.UNKNOWN_IDS, path, detail)]
    if ignored == 1:
        return [Problem(findings.ALL_IGNORED, path, detail)]
    if not holds_train_ids and set(present) <= set(TRAIN_IDS.raw_to_train) and ignored >= _LARGE:
        return [Problem(findings.PERHAPS_TRAIN_IDS, path, detail)]
    return []


def _shortened(ids: list[int]) -> str:
    shown = ", ".join(str(k) for k in ids[:_MOST_IDS])
    return f"{shown}, ... ({len(ids)} ids)" if len(ids) > _MOST_IDS else shown


def _cause(error: ImageFileError) -> str:
    return str(error.__cause__ or error)
