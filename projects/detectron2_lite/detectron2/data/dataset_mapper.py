"""The default step from a record to a training or test sample."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from . import detection_utils
from . import transforms as T

logger = logging.getLogger(__name__)


class DatasetMapper:
    """Read the image and label map of a record, augment both, make them tensors.

    Args:
        is_train: stated in the log only; label maps are read in testing too.
        augmentations: augmentations or transforms, applied in this order.
        image_format: see `detection_utils.read_image`.
    """

    def __init__(
        self,
        is_train: bool,
        *,
        augmentations: Sequence[T.Augmentation | T.Transform],
        image_format: str,
    ) -> None:
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        logger.info("%s for %s", self.augmentations, "training" if is_train else "testing")

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map a record with "file_name" and perhaps "sem_seg_file_name"; it stays unchanged.

        Returns:
            The other entries of the record, "image": (C, H, W) tensor of the format's dtype, and
            "sem_seg": (H, W) int64. "height" and "width" are those before the augmentations.
        """
        sample = copy.deepcopy(dataset_dict)
        image = detection_utils.read_image(sample["file_name"], format=self.image_format)
        detection_utils.check_image_size(sample, image)
        labels = None
        if "sem_seg_file_name" in sample:
            path = sample.pop("sem_seg_file_name")
            labels = detection_utils.read_image(path, format="L")[..., 0]

        augmented = T.AugInput(image, sem_seg=labels)
        self.augmentations(augmented)
        # Copied, since images read from files may be read-only or negatively strided.
        sample["image"] = torch.from_numpy(np.array(augmented.image.transpose(2, 0, 1), order="C"))
        if augmented.sem_seg is not None:
            sample["sem_seg"] = torch.from_numpy(augmented.sem_seg.astype(np.int64))
        if not self.is_train:
            sample.pop("annotations", None)
        return sample
