"""Scores of semantic segmentation from a confusion matrix."""

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.comm import all_gather, is_main_process, synchronize
from detectron2.utils.file_io import PathManager
from PIL import Image

from .evaluator import DatasetEvaluator

logger = logging.getLogger(__name__)


def load_image_into_numpy_array(filename: str, dtype: Any = None) -> np.ndarray:
    """The pixels of an image file as they are stored."""
    with PathManager.open(filename, "rb") as file:
        return np.asarray(Image.open(file), dtype=dtype)


class SemSegEvaluator(DatasetEvaluator):
    """IoU and accuracy over classes that occur in the ground truth, of all processes together."""

    def __init__(
        self,
        dataset_name: str,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        sem_seg_loading_fn: Callable[..., np.ndarray] = load_image_into_numpy_array,
        num_classes: int | None = None,
        ignore_label: int | None = None,
    ) -> None:
        """The last two are old: the data set's metadata say both."""
        meta = MetadataCatalog.get(dataset_name)
        self.input_file_to_gt_file = {
            record["file_name"]: record["sem_seg_file_name"]
            for record in DatasetCatalog.get(dataset_name)
        }
        self.sem_seg_loading_fn = sem_seg_loading_fn
        self._distributed = distributed
        self._output_dir = output_dir
        self._class_names = meta.stuff_classes
        known = len(self._class_names)
        assert num_classes in (None, known), f"num_classes={num_classes}, the data set has {known}"
        self._ignore_label = meta.ignore_label if ignore_label is None else ignore_label

    def reset(self) -> None:
        size = len(self._class_names) + 1  # the last row and column are for ignored pixels
        self._matrix = np.zeros((size, size), dtype=np.int64)  # (predicted, true)
        self._predictions: list[dict[str, Any]] = []

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Count pixels; an output has "sem_seg", (classes, H, W) scores of the label map's size."""
        ignored = len(self._class_names)
        for record, output in zip(inputs, outputs, strict=False):
            predicted = output["sem_seg"].argmax(dim=0).cpu().numpy()
            true_file = self.input_file_to_gt_file[record["file_name"]]
            true = self.sem_seg_loading_fn(true_file, dtype=int)
            true = np.where(true == self._ignore_label, ignored, true)
            assert true.max() <= ignored, f"{true_file}: label {true.max()}, {ignored} classes"
            cells = predicted.ravel() * len(self._matrix) + true.ravel()
            counts = np.bincount(cells, minlength=self._matrix.size)
            self._matrix += counts.reshape(self._matrix.shape)
            if self._output_dir:
                self._predictions += _run_lengths(predicted, record["file_name"])

    def evaluate(self) -> dict[str, Any] | None:
        """{"sem_seg": scores in percent}, on the main process."""
        if self._distributed:
            synchronize()
            self._matrix = sum(all_gather(self._matrix))
            self._predictions = list(chain.from_iterable(all_gather(self._predictions)))
            if not is_main_process():
                return None
        scores = self._scores()
        if self._output_dir:
            PathManager.mkdirs(self._output_dir)
            masks_file = os.path.join(self._output_dir, "sem_seg_predictions.json")
            with PathManager.open(masks_file, "w") as file:
                json.dump(self._predictions, file)
            scores_file = os.path.join(self._output_dir, "sem_seg_evaluation.pth")
            with PathManager.open(scores_file, "wb") as file:
                torch.save(scores, file)
        results = OrderedDict(sem_seg=scores)
        logger.info(results)
        return results

    def _scores(self) -> dict[str, float]:
        counted = self._matrix[:-1, :-1].astype(float)
        found, true = counted.diagonal(), counted.sum(axis=0)
        true = np.where(true > 0, true, np.nan)  # leaves classes without true pixels out
        iou = 100 * found / (true + counted.sum(axis=1) - found)
        accuracy = 100 * found / true
        return {
            "mIoU": np.nanmean(iou),
            "fwIoU": np.nansum(iou * true) / np.nansum(true),
            **{f"IoU-{name}": value for name, value in zip(self._class_names, iou, strict=True)},
            "mACC": np.nanmean(accuracy),
            "pACC": 100 * found.sum() / np.nansum(true),
            **{f"ACC-{k}": value for k, value in zip(self._class_names, accuracy, strict=True)},
        }


def _run_lengths(predicted: np.ndarray, file_name: str) -> list[dict[str, Any]]:
    """The areas of a label map in COCO's format."""
    masks = []
    for label in np.unique(predicted).tolist():
        mask = mask_util.encode(np.asfortranarray(predicted == label, dtype=np.uint8))
        mask["counts"] = mask["counts"].decode()
        masks.append({"file_name": file_name, "category_id": label, "segmentation": mask})
    return masks
