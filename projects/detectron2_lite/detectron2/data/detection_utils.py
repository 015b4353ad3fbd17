"""Reading images as arrays, and checking them against their records."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.utils.file_io import PathManager
from PIL import ExifTags, Image

# ITU-R BT.601, from RGB in [0, 1]; one row for each of Y, U, V
_YUV_FROM_RGB = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]]
)

# What undoes the EXIF orientations 2, 3, ... 8; orientation 1 is upright
_UNDO_ORIENTATION = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


class SizeMismatchError(ValueError):
    """The loaded image and its record state different sizes."""


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """Read an image file upright, turned as its EXIF orientation tells.

    Args:
        file_name: any path `PathManager` can open.
        format: a mode of PIL ("RGB", "L", ...), "BGR" or "YUV-BT.601"; None keeps the file's mode.

    Returns:
        (H, W, C) uint8 in [0, 255]; float with Y in [0, 1] for "YUV-BT.601"; (H, W) for a
        single channel when `format` is None. The array may be read-only or negatively strided.
    """
    with PathManager.open(file_name, "rb") as f:
        return convert_PIL_to_numpy(_upright(Image.open(f)), format)


def convert_PIL_to_numpy(image: Image.Image, format: str | None) -> np.ndarray:
    """The array of a PIL image in one of the formats of `read_image`."""
    if format is None:
        return np.asarray(image)
    if format == "BGR":
        return np.asarray(image.convert("RGB"))[..., ::-1]
    if format == "YUV-BT.601":
        return np.asarray(image.convert("RGB")) / 255.0 @ _YUV_FROM_RGB.T
    array = np.asarray(image.convert(format))
    return array[..., None] if format == "L" else array


def check_image_size(dataset_dict: dict[str, Any], image: np.ndarray) -> None:
    """Compare "width" and "height" of a record with its image, or fill them in.

    Raises:
        SizeMismatchError: the record states another size; names the file if the record does.
    """
    actual = {"width": image.shape[1], "height": image.shape[0]}
    stated = {key: dataset_dict.setdefault(key, value) for key, value in actual.items()}
    if stated != actual:
        raise SizeMismatchError(
            f"image {dataset_dict.get('file_name', '')} has size {actual} but its record "
            f"states {stated}; correct the record"
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # files with broken EXIF data exist; their pixels are fine
        orientation = 1
    if orientation in range(2, 2 + len(_UNDO_ORIENTATION)):
        return image.transpose(_UNDO_ORIENTATION[orientation - 2])
    return image
