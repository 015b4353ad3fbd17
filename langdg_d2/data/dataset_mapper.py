"""Dataset mappers: from dataset dicts to inputs of the model, in loader workers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from detectron2.data import transforms as T

from ..structures import PatchGrid
from ..utils.errors import LangDGError
from .image_io import ImageFileError, read_image, read_rgb
from .label_io import encoding_of, read_train_ids

DatasetDict = dict[str, Any]


class TrainMapper:
    """Reads and augments a labelled image for training.

    Args:
        augmentations: Detectron2 augmentations for image and label.
        patch_grid: grid of patches whose majority classes are added; None for none.
    """

    def __init__(
        self, *, augmentations: Sequence[T.Augmentation], patch_grid: PatchGrid | None = None
    ) -> None:
        self.augmentations = T.AugmentationList(list(augmentations))
        self.patch_grid = patch_grid

    def __call__(self, dataset_dict: DatasetDict) -> DatasetDict:
        """Map one dataset dict, which is not modified.

        Args:
            dataset_dict: has `file_name`, `sem_seg_file_name`, and `label_encoding` if labels are
                not train ids; see `encoding_of`.

        Returns:
            A copy with `image` (3, H, W) uint8 RGB, `sem_seg` (H, W) uint8 train ids, and, with a
            grid, `patch_classes` (rows, cols) uint8.

        Raises:
            ImageFileError: if a file cannot be used.
        """
        packed = _read_augmented(dataset_dict, self.augmentations)
        if self.patch_grid is not None:
            packed["patch_classes"] = self.patch_grid.majority(packed["sem_seg"])
        return packed


class TestMapper:
    """Reads an image for evaluation and applies the augmentations of a test protocol.

    Like `TrainMapper` without patch classes, but adds `height` and `width`, the size after the
    augmentations. Dicts without `sem_seg_file_name` give no `sem_seg`. With `as_viewed`, which
    `image_folder` sets, the image is rotated according to its EXIF data.
    """

    __test__ = False  # not a test case, despite its name

    def __init__(self, *, augmentations: Sequence[T.Augmentation] = ()) -> None:
        self.augmentations = T.AugmentationList(list(augmentations))

    def __call__(self, dataset_dict: DatasetDict) -> DatasetDict:
        packed = _read_augmented(dataset_dict, self.augmentations)
        height, width = packed.get("sem_seg", packed["image"][0]).shape
        return packed | {"height": height, "width": width}


def read_pair(
    dataset_dict: DatasetDict,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read the image (H, W, 3) RGB and train ids (H, W) of a dataset dict, both uint8."""
    image = read_rgb(dataset_dict["file_name"])
    train_ids = read_train_ids(dataset_dict["sem_seg_file_name"], encoding_of(dataset_dict))
    if image.shape[:2] != train_ids.shape:
        sizes = [f"{one.shape[0]}x{one.shape[1]}" for one in (image, train_ids)]
        raise ImageFileError(
            f"image '{dataset_dict['file_name']}' is {sizes[0]} and its label "
            f"'{dataset_dict['sem_seg_file_name']}' is {sizes[1]} (height x width), "
            "expected one size: leave the pair out of the split's list, or repair it"
        )
    return image, train_ids


def _read_augmented(dataset_dict: DatasetDict, augmentations: T.AugmentationList) -> DatasetDict:
    if "sem_seg_file_name" in dataset_dict:
        image, train_ids = read_pair(dataset_dict)
        inputs = T.AugInput(image, sem_seg=train_ids)
    else:
        read = read_image if dataset_dict.get("as_viewed") else read_rgb
        inputs = T.AugInput(read(dataset_dict["file_name"]))
    try:
        augmentations(inputs)
    except (ValueError, LangDGError) as error:
        raise ImageFileError(f"'{dataset_dict['file_name']}': {error}") from error
    # Copies, because Detectron2's resize returns read-only arrays, which torch warns about.
    packed = {"image": torch.from_numpy(np.array(inputs.image.transpose(2, 0, 1), order="C"))}
    if inputs.sem_seg is not None:
        packed["sem_seg"] = torch.from_numpy(np.array(inputs.sem_seg, order="C"))
    return dataset_dict | packed
