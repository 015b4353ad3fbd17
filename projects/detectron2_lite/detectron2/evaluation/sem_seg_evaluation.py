"""Scores of semantic segmentation from a confusion matrix."""

from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import Any

import cv2
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
    with PathManager.open(filename, "rb") as f:
        return np.asarray(Image.open(f), dtype=dtype)


class SemSegEvaluator(DatasetEvaluator):
    """IoU and accuracy, of classes and on average, over classes that occur in the ground truth.

    Args:
        dataset_name: registered, with metadata `stuff_classes` and `ignore_label`; its label maps
            are matched to inputs by "file_name".
        distributed: sum up over all processes; the result is then on the main one.
        output_dir: gets `sem_seg_predictions.json`, run-length masks in COCO's format, and
            `sem_seg_evaluation.pth`, the scores. None writes nothing.
        sem_seg_loading_fn: called as (file name, dtype=int), gives the (H, W) label map.
        num_classes: must agree with the metadata.
        ignore_label: in place of the one in the metadata.
    """

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
        meta = MetadataCatalog.get(dataset_name)
        assert num_classes in (None, len(meta.stuff_classes)), (
            f"{dataset_name!r} has {len(meta.stuff_classes)} classes, not {num_classes}"
        )
        self.input_file_to_gt_file = {
            record["file_name"]: record["sem_seg_file_name"]
            for record in DatasetCatalog.get(dataset_name)
        }
        self.sem_seg_loading_fn = sem_seg_loading_fn
        self._distributed = distributed
        self._output_dir = output_dir
        self._class_names = meta.stuff_classes
        self._ignore_label = meta.ignore_label if ignore_label is None else ignore_label
        to_contiguous = meta.get("stuff_dataset_id_to_contiguous_id")
        self._dataset_ids = to_contiguous and {v: k for k, v in to_contiguous.items()}

    def reset(self) -> None:
        size = len(self._class_names) + 1  # the last row and column are the ignored pixels
        self._matrix = np.zeros((size, size), dtype=np.int64)  # (predicted, true)
        self._boundary_matrix = np.zeros_like(self._matrix)
        self._predictions: list[dict[str, Any]] = []

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Count the pixels of a batch.

        Args:
            inputs: dicts with "file_name".
            outputs: dicts with "sem_seg": (classes, H, W) scores at the size of the label map.
        """
        for record, output in zip(inputs, outputs, strict=False):
            predicted = output["sem_seg"].argmax(dim=0).cpu().numpy()
            true_file = self.input_file_to_gt_file[record["file_name"]]
            true = self.sem_seg_loading_fn(true_file, dtype=int)
            true = np.where(true == self._ignore_label, len(self._class_names), true)
            assert true.max() <= len(self._class_names), (
                f"{true_file} has label {true.max()}, expected less than {len(self._class_names)} "
                f"or {self._ignore_label} = ignore"
            )
            self._matrix += self._confusion(predicted, true)
            self._boundary_matrix += self._confusion(_boundary(predicted), _boundary(true))
            if self._output_dir:
                self._predictions += self._encode(predicted, record["file_name"])

    def evaluate(self) -> dict[str, Any] | None:
        """{"sem_seg": scores in percent}; NaN for a class without pixels.

        "mIoU", "fwIoU" (weighted by the frequency of the classes), "mACC" (mean of the classes'
        shares of pixels found) and "pACC" (share of all pixels). For every class "IoU-<name>",
        "ACC-<name>", "BoundaryIoU-<name>" (of labels near the edges of areas only) and
        "min(IoU, B-Iou)-<name>".
        """
        if self._distributed:
            synchronize()
            self._matrix = sum(all_gather(self._matrix))
            self._boundary_matrix = sum(all_gather(self._boundary_matrix))
            self._predictions = list(chain.from_iterable(all_gather(self._predictions)))
            if not is_main_process():
                return None
        scores = self._scores()
        if self._output_dir:
            self._write(self._output_dir, scores)
        results = OrderedDict(sem_seg=scores)
        logger.info(results)
        return results

    def _scores(self) -> dict[str, float]:
        found, true, union = _areas(self._matrix)
        is_present = true > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            iou = 100 * np.where(is_present, found / union, np.nan)
            acc = 100 * found / true
            boundary_found, _, boundary_union = _areas(self._boundary_matrix)
            boundary_iou = 100 * boundary_found / boundary_union
        scores = {
            "mIoU": iou[is_present].mean(),
            "fwIoU": np.sum(iou[is_present] * true[is_present] / true.sum()),
        }
        for name, value, at_edges in zip(self._class_names, iou, boundary_iou, strict=True):
            scores[f"IoU-{name}"] = value
            scores[f"BoundaryIoU-{name}"] = at_edges
            scores[f"min(IoU, B-Iou)-{name}"] = min(value, at_edges)
        scores["mACC"] = acc[is_present].mean()
        scores["pACC"] = 100 * found.sum() / true.sum()
        scores |= {f"ACC-{name}": value for name, value in zip(self._class_names, acc, strict=True)}
        return scores

    def _confusion(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        cells = predicted.ravel() * len(self._matrix) + true.ravel()
        return np.bincount(cells, minlength=self._matrix.size).reshape(self._matrix.shape)

    def _encode(self, predicted: np.ndarray, file_name: str) -> list[dict[str, Any]]:
        encoded = []
        for label in np.unique(predicted).tolist():
            mask = mask_util.encode(np.asfortranarray(predicted == label, dtype=np.uint8))
            mask["counts"] = mask["counts"].decode()
            category = self._dataset_ids[label] if self._dataset_ids else label
            encoded.append({"file_name": file_name, "category_id": category, "segmentation": mask})
        return encoded

    def _write(self, folder: str, scores: dict[str, float]) -> None:
        PathManager.mkdirs(folder)
        with PathManager.open(os.path.join(folder, "sem_seg_predictions.json"), "w") as f:
            json.dump(self._predictions, f)
        with PathManager.open(os.path.join(folder, "sem_seg_evaluation.pth"), "wb") as f:
            torch.save(scores, f)


def _areas(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of every class found, true, and in either; ignored pixels count nowhere."""
    counted = matrix[:-1, :-1].astype(float)
    found, true = counted.diagonal(), counted.sum(axis=0)
    return found, true, true + counted.sum(axis=1) - found


def _boundary(labels: np.ndarray, dilation_ratio: float = 0.02) -> np.ndarray:
    """Labels less their erosion by a share of the diagonal: zero away from edges of areas.

    The erosion takes the smallest label around, so a value is the step to it, not a class.
    """
    steps = max(1, round(dilation_ratio * float(np.hypot(*labels.shape))))
    padded = np.pad(labels.astype(np.uint16), 1)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
    return (padded - eroded)[1:-1, 1:-1].astype(np.int64)
