"""Reading images and label files, with errors that name the file."""

import numpy as np
import numpy.typing as npt
from detectron2.data.detection_utils import read_image

from ..structures import LabelEncoding


class ImageFileError(RuntimeError):
    """A file of a data set is missing, unreadable, or not what its data set promises."""


def read_rgb(file_name: str) -> npt.NDArray[np.uint8]:
    """An image as (H, W, 3) uint8 RGB, contiguous and writable.

    Raises:
        ImageFileError: if the file is missing, truncated or no image.
    """
    return _read(file_name, "RGB")


def read_train_ids(file_name: str, encoding: LabelEncoding) -> npt.NDArray[np.uint8]:
    """A label file as (H, W) uint8 train ids.

    Args:
        file_name: 8-bit grey or palette image; of a palette image the indices count, not the
            colours.
        encoding: what its values mean.

    Raises:
        ImageFileError: if the file is missing, truncated, of another format, or holds an id that
            the encoding does not know.
    """
    raw = _read(file_name, None)
    if raw.ndim != 2 or raw.dtype != np.uint8:
        raise ImageFileError(
            f"label file '{file_name}' has shape {raw.shape} and type {raw.dtype}, expected an "
            "8-bit image with one channel of label ids; is it a colour rendering of the labels?"
        )
    try:
        return encoding.decode(raw)
    except ValueError as error:
        raise ImageFileError(f"label file '{file_name}': {error}") from error


def _read(file_name: str, image_format: str | None) -> npt.NDArray[np.uint8]:
    try:
        image = read_image(file_name, image_format)
    except FileNotFoundError as error:
        raise ImageFileError(f"'{file_name}' does not exist") from error
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises on broken files
        raise ImageFileError(
            f"'{file_name}' cannot be read as an image ({error}); it may be truncated: "
            "compare its size with the original and copy it again"
        ) from error
    # Detectron2 may hand out read-only views or negative strides, which torch refuses.
    return np.array(image, order="C")
