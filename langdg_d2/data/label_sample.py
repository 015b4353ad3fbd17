"""Plausibility check of a sample of labels and images before a run."""

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..structures import CITYSCAPES_19, ENCODINGS, LabelEncoding, LabelSpace
from .datasets.folders import DatasetError
from .image_io import ImageFileError, opened, orientation, read_rgb
from .label_io import (
    RAW_ID_ENCODINGS,
    TRAIN_ID_ENCODINGS,
    IdKind,
    LabelContent,
    content_of,
    encoding_of,
    read_raw_ids,
)

Record = Mapping[str, Any]

_FEW = 8  # labels that are read if nothing is unusual
_MANY = 16  # labels that are read otherwise
_MOST = 64  # labels that are read until one has a class; images whose orientation is read
_DECODED = 4  # images whose pixels are read
_DARK = 64  # level that the brightest pixel of an image reaches, even at night
_MOST_IDS = 8  # shown in a message
# Keys of dataset dicts that distinguish data sets.
_OF_SETS = ("label_encoding", "source", "stuff_classes", "ignore_label")
_EMPTY = {IdKind.NO_CLASS}
_TRAIN_IDS = {IdKind.PERHAPS_TRAIN_IDS, IdKind.TRAIN_IDS}
# Road, building, vegetation, sky and car. A sample of street scenes has pixels of all five, and
# rarely fewer of two of them than of the classes with neighbouring ids.
_COMMON = (0, 2, 8, 10, 13)
_RARE = 2
# Share of pixels at borders whose ids lie between those of their neighbours: 12 to 50 % if ids were
# averaged, up to 3 % for thin objects such as poles, and 5 % in images 150 pixels wide.
_INTERPOLATED = 0.1

_logger = logging.getLogger(__name__)


class _Label(NamedTuple):
    """A label of the sample: its content, a hash of its ids, and counts of `_count_between`."""

    file: str
    content: LabelContent
    digest: int
    between: npt.NDArray[np.int64]


def check_labels(
    dataset: Sequence[Record], *, required: bool, classes: LabelSpace | None = None
) -> None:
    """Refuse labels without a class or with other classes, and train ids in place of raw ids.

    Reads the pixels of a sample, which takes a fraction of a second. Oddities that may be correct,
    such as images with EXIF rotation, are logged as warnings. Unreadable files are left to the run.

    Args:
        dataset: dataset dicts; those without `sem_seg_file_name`, or with a `label_encoding` that
            is not in `structures.ENCODINGS`, are skipped.
        required: whether images without labels are refused.
        classes: classes of the model, which must match those of the labels; None without a model.

    Raises:
        DatasetError: with a file, its content and the remedy.
    """
    for record in dataset if required else ():
        if {"file_name", "image_id"} <= record.keys() and "sem_seg_file_name" not in record:
            raise DatasetError(
                f"images such as '{record['file_name']}' have no labels: their split is only for "
                "predictions; train on another one"
            )
    for records in _groups(dataset):
        encoding = encoding_of(records[0])
        if classes is not None:
            _check_classes(encoding, classes)
        _check_sample(_read_sample(records, encoding), encoding)
        _warn_of_images(records)


def label_oddities(dataset: Sequence[Record]) -> Iterator[str]:
    """Yield the warnings of `check_labels`, for samples of at least eight labels."""
    for records in _groups(dataset):
        encoding = encoding_of(records[0])
        labels = _read_sample(records, encoding)
        if len(labels) >= _FEW:
            yield from _oddities(labels, encoding)


def image_oddity(pixels: npt.NDArray[np.uint8]) -> str:
    """Describe what is unusual about a street image (H, W, 3); "" for nothing."""
    if (pixels == pixels[..., :1]).all():
        return "has no colours"
    return f"reaches {pixels.max()} of 255" if pixels.max() < _DARK else ""


def ids_text(ids: Sequence[int]) -> str:
    """Format ids for a message, shortened."""
    shown = ", ".join(str(k) for k in ids[:_MOST_IDS])
    return f"{shown}, ... ({len(ids)} ids)" if len(ids) > _MOST_IDS else shown


def _groups(dataset: Sequence[Record]) -> Iterable[list[Record]]:
    """Group dataset dicts with labels by data set and encoding."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in dataset:
        name = record.get("label_encoding")
        known = name is None or isinstance(name, LabelEncoding) or name in ENCODINGS
        if "sem_seg_file_name" in record and known:
            groups.setdefault(tuple(map(record.get, _OF_SETS)), []).append(record)
    return groups.values()


def _check_classes(encoding: LabelEncoding, classes: LabelSpace) -> None:
    ignored = CITYSCAPES_19.ignore_label
    if classes.ignore_label != ignored:
        raise DatasetError(
            f"model.classes.ignore_label is {classes.ignore_label}, but labels are read with "
            f"{ignored} where there is no class: set it to {ignored}"
        )
    names = encoding.class_names
    for k, (theirs, ours) in enumerate(zip_longest(names, classes.names)):
        if theirs != ours:
            raise DatasetError(
                f"train id {k} of labels read as {encoding.name} is {theirs or 'no class'!r}, but "
                f"{ours or 'no class'!r} in model.classes.names: name there the {len(names)} "
                "classes of the labels in their order, or give the LabelEncoding of these labels "
                "its class_names, or the metadata of a data set of train ids its stuff_classes"
            )
    if encoding.num_classes > len(classes):
        raise DatasetError(
            f"labels read as {encoding.name} have the train ids 0 to {encoding.num_classes - 1}, "
            f"but model.classes.names has {len(classes)} names: give one for each"
        )


def _sample(records: Sequence[Record]) -> list[Record]:
    """Draw random records, the same in every process."""
    return random.Random(0).sample(records, min(_MOST, len(records)))


def _read_sample(records: Sequence[Record], encoding: LabelEncoding) -> list[_Label]:
    labels: list[_Label] = []
    for record in _sample(records):
        # A valid set needs few labels, and a set with mostly empty labels is not refused by chance.
        empty = sum(label.content.kind in _EMPTY for label in labels)
        strange = empty + sum(label.content.kind in _TRAIN_IDS for label in labels)
        if (len(labels) >= _FEW and not strange) or (len(labels) >= _MANY and empty < len(labels)):
            break
        file = record["sem_seg_file_name"]
        try:
            raw = read_raw_ids(file, encoding)
        except ImageFileError:
            continue
        digest = hash(raw.tobytes())
        labels.append(_Label(file, content_of(raw, encoding), digest, _count_between(raw)))
    return labels


def _check_sample(labels: Sequence[_Label], encoding: LabelEncoding) -> None:
    # Single labels may be empty or resemble train ids, for example in tunnels.
    for kinds, share in ((_EMPTY, 1), (_TRAIN_IDS, 1 / 2)):
        cases = [label for label in labels if label.content.kind in kinds]
        if not cases:
            continue
        example = cases[0].content
        found = (
            f"{len(cases)} of {len(labels)} sampled labels contain {example.kind.value}, such as "
            f"'{cases[0].file}' with the ids {ids_text(example.present)}, but are read as "
            f"{encoding.name}"
        )
        if len(cases) >= share * len(labels):
            raise DatasetError(
                f"{found}: use the label files as released, which need no conversion"
            )
        _logger.warning("%s; check_dataset.py checks all labels", found)
    for text in _oddities(labels, encoding) if labels else ():
        _logger.warning(
            "%s (read as %s). Inspect them with check_dataset.py --overlays",
            *(text, encoding.name),
        )


def _oddities(labels: Sequence[_Label], encoding: LabelEncoding) -> Iterator[str]:
    """Yield what is unusual about the labels as a whole."""
    names = CITYSCAPES_19.names
    named = f"{len(labels)} sampled labels, such as '{labels[-1].file}',"
    pixels = np.sum([label.content.pixels for label in labels], axis=0)
    of_cityscapes = encoding.class_names == names  # except for the ignore label
    has_train_ids = of_cityscapes or encoding in TRAIN_ID_ENCODINGS
    of_streets = has_train_ids or encoding in RAW_ID_ENCODINGS
    wanted = _COMMON if of_streets else range(len(encoding.class_names))
    lacking = [encoding.class_names[k] for k in wanted if not pixels[k]]
    if lacking and (len(labels) >= _FEW or not of_streets):
        yield (
            f"none of {named} contains {' or '.join(lacking)}: their ids may have another meaning"
        )
    if encoding in TRAIN_ID_ENCODINGS and len(labels) >= _FEW and not pixels[-1]:
        yield f"none of {named} has unlabelled pixels, unlike the release"
    if len(labels) >= _FEW and 2 * len({label.digest for label in labels}) <= len(labels):
        yield f"half or more of {named} are copies of others"
    constant = [label.file for label in labels if _has_one_class(label.content.pixels)]
    if len(constant) > 1:
        yield (
            f"{len(constant)} of {len(labels)} sampled labels, such as '{constant[0]}', have a "
            "single class"
        )
    if 2 * pixels[-1] > pixels.sum():
        share = 100 * pixels[-1] / pixels.sum()
        yield f"{share:.0f} % of the pixels of {named} have no class"
    rarer = [
        (k, other)
        for k in _COMMON
        for other in (k - 1, k + 1)
        if other >= 0 and 0 < 2 * pixels[k] < pixels[other]
    ]
    if has_train_ids and len({k for k, _ in rarer}) >= _RARE:
        found = ", ".join(f"{names[other]} than {names[k]}" for k, other in rarer)
        yield (
            f"{named} have more {found}: their ids may be shifted by one or have another meaning"
        )
    for between, borders, total in np.sum([label.between for label in labels], axis=0):
        # Not conclusive if most pixels are at borders.
        if between > _INTERPOLATED * borders and borders < total / 2:
            yield (
                f"{named} may have been resized with interpolation: "
                f"{100 * between / borders:.0f} % of border pixels have an id between their "
                "neighbours'"
            )
            return


def _has_one_class(pixels: npt.NDArray[np.int64]) -> bool:
    """Whether all pixels are of one class, by counts of each train id and of those without."""
    return np.count_nonzero(pixels) == 1 and not pixels[-1]


def _count_between(raw: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.int64]:
    """Count pixels whose ids may result from interpolation in a resize.

    Returns:
        (2, 3): along rows and along columns, the number of pixels whose id lies between those of
        both neighbours, whose neighbours differ, and that have two neighbours.
    """
    counts = []
    for ids in (raw, raw.T):
        left, middle, right = ids[:, :-2], ids[:, 1:-1], ids[:, 2:]
        between = ((left < middle) & (middle < right)) | ((left > middle) & (middle > right))
        counts.append([between.sum(), (left != right).sum(), between.size])
    return np.array(counts)


def _warn_of_images(records: Sequence[Record]) -> None:
    files = [record["file_name"] for record in _sample(records)]
    turned, odd = [], {}
    for k, file in enumerate(files):
        try:
            with opened(file) as (_, image):
                is_palette = image.mode == "P"
                if orientation(image) != 1:
                    turned.append(file)
            if k < _DECODED:
                found = image_oddity(read_rgb(file))
                odd[file] = "has a palette, as label files have" if is_palette else found
        except Exception:  # broken files raise errors of many types; the run reports them
            continue
    if turned:
        _logger.warning(
            "%d of %d sampled images, such as '%s', have an EXIF rotation, which is ignored; "
            "labels must match the stored orientation. check_dataset.py lists all such images",
            *(len(turned), len(files), turned[0]),
        )
    if odd := {file: found for file, found in odd.items() if found}:
        file, found = next(iter(odd.items()))
        _logger.warning(
            "%d of %d sampled images look unusual: '%s' %s; check_dataset.py checks all images",
            *(len(odd), len(files[:_DECODED]), file, found),
        )
