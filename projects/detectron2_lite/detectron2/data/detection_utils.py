"""Image files as arrays."""

from contextlib import suppress
from typing import Any

import numpy as np
from detectron2.utils.file_io import PathManager
from PIL import Image, ImageOps


class SizeMismatchError(ValueError):
    """An image has another size than its record states."""


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """The pixels of an image file, upright, in a mode of PIL, in "BGR", or in the file's mode.

    They may be read-only or negatively strided. Where `format` is given, there is a channel axis.
    """
    with PathManager.open(file_name, "rb") as file:
        image = Image.open(file)
        with suppress(Exception):  # files with broken EXIF data exist; their pixels are fine
            image = ImageOps.exif_transpose(image)
        return convert_PIL_to_numpy(image, format)


def convert_PIL_to_numpy(image: Image.Image, format: str | None) -> np.ndarray:
    """The pixels of an image in one of the formats of `read_image`."""
    if format is None:
        return np.asarray(image)
    array = np.asarray(image.convert("RGB" if format == "BGR" else format))
    if format == "BGR":
        return array[..., ::-1]
    return array[..., None] if format == "L" else array


def check_image_size(dataset_dict: dict[str, Any], image: np.ndarray) -> None:
    """Compare "width" and "height" of a record with its image, or fill them in."""
    actual = {"width": image.shape[1], "height": image.shape[0]}
    stated = {key: dataset_dict.setdefault(key, value) for key, value in actual.items()}
    if stated != actual:
        raise SizeMismatchError(
            f"image {dataset_dict.get('file_name', '')} has size {actual} but its record "
            f"states {stated}; correct the record"
        )
