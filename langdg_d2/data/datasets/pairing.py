"""Dataset dicts of image and label files; errors of copies of data sets on disk."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

from ...structures import LabelEncoding
from ...utils.errors import LangDGError

_SHOWN = 3  # examples in a message


class DatasetError(LangDGError):
    """A data set on disk is missing or incomplete; the message says where and what to do.

    Attributes:
        path: the folder or file that is missing or wrong, None where it is not a single one.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class UnpairedFilesError(DatasetError):
    """Images or labels without their other half; keeps what was found, for a check to go on.

    Attributes:
        records: dataset dicts of the whole pairs.
        listed: number of pairs, the broken ones with them.
        missing: the files that are not there.
        remedy: what the data set says to do about them, None for nothing special.
    """

    def __init__(
        self,
        message: str,
        *,
        records: list[dict[str, Any]],
        listed: int,
        missing: list[Path],
        remedy: str | None,
    ) -> None:
        incomplete = "the download or its unpacking is incomplete: get the rest of it"
        super().__init__(f"{message}; {remedy or incomplete}")
        self.records = records
        self.listed = listed
        self.missing = missing
        self.remedy = remedy


def image_records(
    images: Iterable[Path], *, image_id: Callable[[Path], str] = attrgetter("stem")
) -> list[dict[str, Any]]:
    """Dataset dicts of images without labels, `file_name` and `image_id`; see `pair_files`."""
    return [{"file_name": str(image), "image_id": image_id(image)} for image in images]


def pair_files(
    images: Iterable[Path],
    find_label: Callable[[Path], tuple[Path, LabelEncoding]],
    *,
    dataset: str,
    remedy: str | None = None,
    image_id: Callable[[Path], str] = attrgetter("stem"),
) -> list[dict[str, Any]]:
    """Dataset dicts of images with their labels.

    Args:
        images: image files.
        find_label: label file of an image and how it is encoded.
        dataset: name for messages.
        remedy: what to do about missing files, where it is special to the data set.
        image_id: name of an image, unlike that of any other in the split.

    Returns:
        For each image `file_name`, `image_id`, `sem_seg_file_name` and `label_encoding`.

    Raises:
        UnpairedFilesError: if a file is missing; names the first few and counts the pairs.
    """
    records: list[dict[str, Any]] = []
    missing: list[Path] = []
    listed = 0
    for image in images:
        listed += 1
        label, encoding = find_label(image)
        absent = [path for path in (image, label) if not path.is_file()]
        missing += absent
        if not absent:
            (record,) = image_records([image], image_id=image_id)
            record |= {"sem_seg_file_name": str(label), "label_encoding": encoding.name}
            records.append(record)
    if missing:
        examples = ", ".join(f"'{path}'" for path in missing[:_SHOWN])
        raise UnpairedFilesError(
            f"{dataset}: {listed - len(records)} of {listed} image-label pairs lack a file, such "
            f"as {examples}",
            records=records,
            listed=listed,
            missing=missing,
            remedy=remedy,
        )
    return records
