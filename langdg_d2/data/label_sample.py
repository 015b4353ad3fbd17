"""A look at some labels of a set before hours are spent on it: do they hold what they should?"""

import logging
import random
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from ..structures import CITYSCAPES_19, ENCODINGS, LabelEncoding, LabelSpace
from .datasets.pairing import DatasetError
from .image_io import ImageFileError, open_image, orientation
from .label_ids import (
    IdKind,
    are_train_ids_alone,
    count_between,
    count_pixels,
    ids_text,
    kind_of_ids,
    may_be_interpolated,
    may_be_one_based,
)
from .label_io import read_raw_ids

Record = Mapping[str, Any]

_FEW = 8  # labels that are read where nothing is strange about them
_MANY = 16  # labels that are read otherwise
_MOST = 64  # labels that are read until one has a class, and images whose orientation is looked at
_TRAIN_IDS = (IdKind.PERHAPS_TRAIN_IDS, IdKind.TRAIN_IDS)

_logger = logging.getLogger(__name__)


def check_labels(
    dataset: Sequence[Record], *, required: bool, classes: LabelSpace | None = None
) -> None:
    """Refuse labels without a class or of other classes, and train ids where raw ids belong.

    The pixels of a sample are looked at.

    Images whose EXIF data ask to be turned are named in the log, as labels lie as stored. What
    cannot be read is left to the run. Takes a fraction of a second.

    Args:
        dataset: dataset dicts; those without `sem_seg_file_name` and an encoding of
            `structures.ENCODINGS` are not looked at.
        required: whether images without labels are refused.
        classes: those of the model, which the labels must have; None if there is no model.

    Raises:
        DatasetError: names a file, what it holds, and what to do.
    """
    unlabeled = next((record for record in dataset if _is_unlabeled(record)), None)
    if required and unlabeled is not None:
        raise DatasetError(
            f"images such as '{unlabeled['file_name']}' have no labels: their split is for "
            "predictions, so train on another one"
        )
    by_encoding: dict[str, list[Record]] = {}
    for record in dataset:
        if "sem_seg_file_name" in record and record.get("label_encoding") in ENCODINGS:
            by_encoding.setdefault(record["label_encoding"], []).append(record)
    for name, records in by_encoding.items():
        if classes is not None:
            _check_classes(ENCODINGS[name], classes)
        _check(records, ENCODINGS[name])
        _log_turned(records)


def _check_classes(encoding: LabelEncoding, classes: LabelSpace) -> None:
    ignored = CITYSCAPES_19.ignore_label
    if classes.ignore_label != ignored:
        raise DatasetError(
            f"model.classes.ignore_label is {classes.ignore_label}, but labels are read with "
            f"{ignored} where there is no class: set it to {ignored}"
        )
    names = classes.names if encoding.class_names is None else encoding.class_names
    for k, (theirs, ours) in enumerate(zip_longest(names, classes.names)):
        if theirs != ours:
            raise DatasetError(
                f"train id {k} of labels read as {encoding.name} is {theirs or 'no class'!r}, but "
                f"{ours or 'no class'!r} in model.classes.names: name there the {len(names)} "
                "classes of the labels in their order, or give the LabelEncoding of these labels "
                "its class_names"
            )
    if encoding.num_classes > len(classes):
        raise DatasetError(
            f"labels read as {encoding.name} have the train ids 0 to {encoding.num_classes - 1}, "
            f"but model.classes.names has {len(classes)} names: give one for each"
        )


def _check(records: Sequence[Record], encoding: LabelEncoding) -> None:
    read, label = 0, ""
    all_pixels, between = np.zeros(1, np.int64), np.zeros(3, np.int64)
    empty: list[tuple[str, IdKind, list[int]]] = []
    train_ids: list[tuple[str, IdKind, list[int]]] = []
    all_present: set[int] = set()
    for record in _sample(records, _MOST):
        strange = len(empty) + len(train_ids)
        if (read >= _FEW and not strange) or (read >= _MANY and len(empty) < read):
            break
        label = record["sem_seg_file_name"]
        try:
            raw = read_raw_ids(label, encoding)
        except ImageFileError:
            continue
        read += 1
        present, pixels = count_pixels(raw, encoding)
        all_present.update(present)
        all_pixels, between = all_pixels + pixels, between + count_between(raw)
        kind = kind_of_ids(present, pixels, encoding)
        if kind is IdKind.NO_CLASS:
            empty.append((label, kind, present))
        elif kind in _TRAIN_IDS:
            train_ids.append((label, kind, present))
    for cases, least in ((empty, read), (train_ids, read / 2)):
        if cases and len(cases) >= least:
            label, kind, present = cases[0]
            raise DatasetError(
                f"{len(cases)} of {read} labels looked at hold {kind.value}, such as '{label}' "
                f"with the ids {ids_text(present)}, to be read as {encoding.name}: use the label "
                "files as released, which need no conversion"
            )
        if cases:
            _logger.warning(
                "%d of %d labels looked at hold %s, such as '%s' with the ids %s, to be read as "
                "%s; check_dataset.py looks at all of them",
                *(len(cases), read, cases[0][1].value, cases[0][0], ids_text(cases[0][2])),
                encoding.name,
            )
    if read:
        _log_low_ids(all_present, label, encoding)
        _log_odd_pixels(
            all_pixels, between, f"{read} labels looked at, such as '{label}',", encoding
        )


def _log_low_ids(present: set[int], label: str, encoding: LabelEncoding) -> None:
    if are_train_ids_alone(present, encoding):
        _logger.warning(
            "the labels looked at, such as '%s', hold only the ids %s, without the raw ids of "
            "sky, vegetation and cars: they may be train ids, but are read as %s",
            *(label, ids_text(sorted(present)), encoding.name),
        )


def _log_odd_pixels(
    pixels: npt.NDArray[np.int64],
    between: npt.NDArray[np.int64],
    labels: str,
    encoding: LabelEncoding,
) -> None:
    """Warn of what the sums of `count_pixels` and `count_between` over the labels show."""
    odd = []
    if 2 * pixels[-1] > pixels.sum():
        share = 100 * pixels[-1] / pixels.sum()
        odd.append(f"{share:.0f} % of the pixels of {labels} have no class")
    if may_be_one_based(pixels, encoding):
        odd.append(
            f"ids one too high, with 0 for no class, may be in {labels}, as they have more "
            "sidewalk than road, more wall than building and the like"
        )
    if may_be_interpolated(between):
        share = 100 * between[0] / between[1]
        odd.append(
            f"ids made up by a resize that interpolates may be in {labels}, as {share:.0f} % of "
            "the pixels at borders lie between the ids beside them"
        )
    for what in odd:
        _logger.warning(
            "%s when they are read as %s: look at them with check_dataset.py --overlays",
            *(what, encoding.name),
        )


def _log_turned(records: Sequence[Record]) -> None:
    turned = [record["file_name"] for record in _sample(records, _MOST) if _is_turned(record)]
    if turned:
        _logger.warning(
            "%d of %d images looked at have EXIF data that turn them, such as '%s'. Images are "
            "read as stored, as their labels have to lie; check_dataset.py names all of them",
            *(len(turned), min(_MOST, len(records)), turned[0]),
        )


def _is_turned(record: Record) -> bool:
    try:
        with open_image(record["file_name"]) as image:
            return orientation(image) != 1
    except Exception:  # of any kind on broken files, which the run names
        return False


def _sample(records: Sequence[Record], count: int) -> list[Record]:
    """Random records, the same ones for every process."""
    return random.Random(0).sample(records, min(count, len(records)))


def _is_unlabeled(record: Record) -> bool:
    return {"file_name", "image_id"} <= record.keys() and "sem_seg_file_name" not in record
