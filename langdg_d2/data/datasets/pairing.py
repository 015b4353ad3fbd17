"""Pairing of image and label files; what goes wrong with copies of data sets on disk."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding

_SHOWN = 3  # examples in a message


class DatasetError(RuntimeError):
    """A data set on disk is missing or incomplete; the message says where and what to do."""


def require_folder(folder: Path, *, dataset: str, website: str) -> Path:
    """Return `folder` if it exists.

    Raises:
        DatasetError: names the folder, the environment variable that moves it and the source.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{dataset}: folder '{folder}' does not exist. Set DETECTRON2_DATASETS to the folder "
            f"that holds your data sets; {dataset} comes from {website}"
        )
    return folder


def require_images(images: Iterable[Path], *, dataset: str, pattern: str) -> list[Path]:
    """Sorted list of images.

    Raises:
        DatasetError: if there are none; names the pattern that found nothing.
    """
    found = sorted(images)
    if not found:
        raise DatasetError(f"{dataset}: no image matches '{pattern}'; is the download unpacked?")
    return found


def pair_files(
    images: Iterable[Path],
    find_label: Callable[[Path], tuple[Path, LabelEncoding]],
    *,
    dataset: str,
) -> list[dict[str, Any]]:
    """Dataset dicts of images with their labels.

    Args:
        images: image files.
        find_label: label file of an image and how it is encoded.
        dataset: name for messages.

    Returns:
        For each image `file_name`, `image_id` (the file's stem), `sem_seg_file_name` and
        `label_encoding`.

    Raises:
        DatasetError: if an image or a label file is missing; names the first few and counts them.
    """
    records, missing = [], []
    for image in images:
        label, encoding = find_label(image)
        missing += [path for path in (image, label) if not path.is_file()]
        records.append(
            {
                "file_name": str(image),
                "image_id": image.stem,
                "sem_seg_file_name": str(label),
                "label_encoding": encoding.name,
            }
        )
    if missing:
        examples = ", ".join(f"'{path}'" for path in missing[:_SHOWN])
        raise DatasetError(
            f"{dataset}: {len(missing)} of {len(records)} image-label pairs lack a file, such as "
            f"{examples}; the download or its unpacking is incomplete"
        )
    return records
