"""Data sets that consist of a folder of images and a folder of labels."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ...structures import CITYSCAPES_19, LabelEncoding
from ...utils.errors import LangDGError, shortened
from ..image_io import IMAGE_SUFFIXES
from .folders import LABEL_SUFFIXES, DatasetError, Folders, folders_below

IGNORE_LABEL = CITYSCAPES_19.ignore_label

logger = logging.getLogger(__name__)


def register_labelled_folder(
    name: str,
    folder: str | os.PathLike[str],
    *,
    classes: Sequence[str],
    label_ids: Mapping[int, str | None] | None = None,
    ignore_label: int = IGNORE_LABEL,
    images: str = "images",
    labels: str = "labels",
    image_end: str = "",
    label_end: str = "",
) -> str:
    """Register a folder with the subfolders `images` and `labels` as a Detectron2 data set.

    An image and its label have the same relative path, except for the end of the file name:
    `images/lyon/7_left.jpg` and `labels/lyon/7_ids.png` for the ends "_left" and "_ids". An
    existing data set of this name is replaced. Files are searched when the data set is used.

    Args:
        name: name of the data set.
        folder: folder of the data set; `~` is the home folder.
        classes: class names in the order of the train ids, as in `model.classes`.
        label_ids: class of each id in the label files, None for ids to ignore; None if the files
            contain train ids.
        ignore_label: train id of pixels without a class, if the files contain train ids.
        images: folder of the images below `folder`.
        labels: folder of the labels, PNG, below `folder`.
        image_end: end of image names, before the suffix.
        label_end: end of label names, before the suffix.

    Returns:
        The name.
    """
    record: dict[str, Any] = {}
    if label_ids is not None:
        if ignore_label != IGNORE_LABEL:
            raise LangDGError(
                f"data set '{name}' has both ignore_label={ignore_label} and label_ids: omit "
                "ignore_label, and map the ids to ignore to None"
            )
        record["label_encoding"] = _encoding(name, classes, label_ids)
    for catalog in (DatasetCatalog, MetadataCatalog):
        catalog.pop(name, None)
    pairs = partial(
        _pairs,
        *(Path(folder).expanduser() / part for part in (images, labels)),
        ends=(image_end, label_end),
        dataset=name,
        record=record,
    )
    DatasetCatalog.register(name, pairs)
    MetadataCatalog.get(name).set(
        stuff_classes=list(classes), ignore_label=ignore_label, evaluator_type="sem_seg"
    )
    return name


def _encoding(
    name: str, classes: Sequence[str], label_ids: Mapping[int, str | None]
) -> LabelEncoding:
    train_ids: dict[str | None, int] = {one: k for k, one in enumerate(classes)}
    train_ids[None] = IGNORE_LABEL
    if unknown := sorted({str(one) for one in label_ids.values() if one not in train_ids}):
        raise LangDGError(
            f"label_ids of '{name}' name {shortened(unknown)}, expected classes of "
            f"{list(classes)}, or None for ids to ignore"
        )
    # Included in the records, for workers that do not share this process's tables.
    return LabelEncoding(
        f"ids of {name}",
        {int(label_id): train_ids[one] for label_id, one in label_ids.items()},
        raw_names={int(label_id): one or "ignored" for label_id, one in label_ids.items()},
        class_names=tuple(classes),
    )


def _pairs(
    images: Path,
    labels: Path,
    *,
    ends: tuple[str, str],
    dataset: str,
    record: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the dataset dicts of the images and labels in two folders."""
    image_end, label_end = ends
    records: list[dict[str, Any]] = []
    missing: list[str] = []
    for folder in (images, labels):
        if not folder.is_dir():
            raise DatasetError(f"data set '{dataset}': there is no folder '{folder}'")
    for below in folders_below(images):
        place = below.relative_to(images)
        found = Folders(below, dataset=dataset, website="").matching(f"*{image_end}")
        own_labels = Folders(labels / place, dataset=dataset, website="")
        for key, file in found:
            label = own_labels.find(f"*{label_end}", key, LABEL_SUFFIXES)
            if not os.path.isfile(label):
                missing.append(label)
                continue
            name = (place / key[0]).as_posix()
            records.append(
                {**record, "file_name": file, "sem_seg_file_name": label} | {"image_id": name}
            )
    if missing:
        raise DatasetError(
            f"data set '{dataset}': {len(missing)} of {len(missing) + len(records)} images have no "
            f"label, such as {shortened(missing)}: move them away, or set label_end"
        )
    if not records:
        expected = f"'{images}/*{image_end}' with suffix {', '.join(sorted(IMAGE_SUFFIXES))}"
        raise DatasetError(f"data set '{dataset}': no image is found; expected {expected}")
    used = {record["sem_seg_file_name"] for record in records}
    files = (path for below in folders_below(labels) for path in below.glob(f"*{label_end}.*"))
    lone = [str(file) for file in files if file.suffix.lower() in LABEL_SUFFIXES]
    if lone := [file for file in lone if file not in used]:
        logger.warning(
            "data set '%s': %d labels have no image, such as %s: images end in %s",
            *(dataset, len(lone), shortened(lone), ", ".join(sorted(IMAGE_SUFFIXES))),
        )
    return records
