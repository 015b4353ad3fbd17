"""Semantic segmentation scores of one data set, from a streaming confusion matrix.

Unlike Detectron2's `SemSegEvaluator` this keeps no prediction and reads no file: the ground
truth is the one the test mapper loaded, so a test protocol's crop or resize applies to both.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import Tensor

from ..structures import class_subsets
from . import confusion
from .confusion import ConfusionMatrix
from .image_scores import (
    ImageScore,
    classes_to_score,
    count_image,
    gather_image_scores,
    score_image,
)
from .results import CLASS_ACCURACY, CLASS_IOU, MEAN_IOU, NUM_IMAGES, TASK, subset_metric


class StreamingSemSegEvaluator(DatasetEvaluator):
    """Accumulates one confusion matrix and reports both conventions of mean IoU.

    Attributes:
        confusion: this process's counts until `evaluate()`, then the sum over all processes.
        images: scores of the single images, after `evaluate()` on the main process: those of all
            processes, by name.
    """

    def __init__(
        self,
        *,
        dataset_name: str,
        class_names: Sequence[str],
        ignore_label: int,
        scored_classes: str | int | Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            dataset_name: only named in the log.
            class_names: name of every train id, in order.
            ignore_label: ground-truth value that is not scored.
            scored_classes: names to score, or of the Cityscapes classes the name of one of
                `CLASS_SUBSETS`, such as "16" (or 16) for those that SYNTHIA has; all if None.
                Pixels of the others still count as errors of a scored class that was predicted
                there, as the field does it.

        Raises:
            LangDGError: if a scored class or subset is unknown, or a class given twice.
        """
        self._dataset_name = dataset_name
        self._class_names = list(class_names)
        self._ignore_label = ignore_label
        self._scored = classes_to_score(scored_classes, self._class_names)
        scored = {self._class_names[k] for k in self._scored}
        self._subsets = {
            subset: [self._class_names.index(name) for name in names]
            for subset, names in class_subsets(self._class_names).items()
            if set(names) <= scored and set(names) < set(class_names)
        }
        self.reset()

    def reset(self) -> None:
        """Forget all counts."""
        self._local = ConfusionMatrix(
            num_classes=len(self._class_names), ignore_label=self._ignore_label
        )
        self._local_images: list[ImageScore] = []
        self.confusion = self._local
        self.images: list[ImageScore] = []

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
    ) -> None:
        """Count the pixels of a batch.

        Args:
            inputs: one dict per image: "sem_seg" (H, W) integer ground truth, "file_name".
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).

        Raises:
            LangDGError: if ground truth is missing, or does not fit the output in size or
                values, or if logits are not finite; names the file.
        """
        for image, output in zip(inputs, outputs, strict=True):
            self.score(image, output["sem_seg"])

    def score(self, image: Mapping[str, Any], sem_seg: Tensor) -> ImageScore:
        """Count the pixels of an image, for who wants its own scores too; else as `process`."""
        counts = count_image(
            image,
            sem_seg,
            dataset_name=self._dataset_name,
            num_classes=len(self._class_names),
            ignore_label=self._ignore_label,
        )
        self._local.merge(counts)
        score = score_image(image, counts, self._scored)
        self._local_images.append(score)
        return score

    def evaluate(self) -> "OrderedDict[str, dict[str, float]]":
        """Sum over processes and score; every process must call this.

        Returns:
            On the main process `{"sem_seg": {metric: value}}`: "mIoU" (authors' convention),
            "mIoU_detectron2", "fwIoU", "pixel_accuracy", "mean_accuracy"; both means over each
            of `CLASS_SUBSETS` that is part of the classes and all scored, as "mIoU_16" and
            "mIoU_16_detectron2"; "IoU-<class>", "ACC-<class>" per scored class. In percent, NaN
            where undefined; "num_images". On the others an empty dict.
        """
        self.confusion = self._local.sum_over_processes()
        self.images = gather_image_scores(self._local_images)
        num_images = len(self.images)
        if not comm.is_main_process():
            return OrderedDict()
        metrics = self._metrics() | {NUM_IMAGES: float(num_images)}
        logging.getLogger(__name__).info(
            "%s: %d images, mIoU %.2f (authors' convention), %.2f (Detectron2's)",
            self._dataset_name,
            num_images,
            metrics["mIoU"],
            metrics["mIoU_detectron2"],
        )
        return OrderedDict({TASK: metrics})

    def details(self) -> dict[str, Any]:
        """The confusion matrix with the names of its classes, and the scores of all images."""
        return {
            "classes": self._class_names,
            "confusion": self.confusion.matrix.tolist(),
            "images": self.images,
        }

    def _metrics(self) -> dict[str, float]:
        matrix, scored = self.confusion.matrix, self._scored
        fractions = {
            **_mean_ious(matrix, scored),
            "fwIoU": confusion.frequency_weighted_iou(matrix, scored),
            "pixel_accuracy": confusion.pixel_accuracy(matrix, scored),
            "mean_accuracy": confusion.mean_accuracy(matrix, scored),
        }
        for subset, classes in self._subsets.items():
            means = _mean_ious(matrix, classes)
            fractions |= {subset_metric(metric, subset): mean for metric, mean in means.items()}
        for prefix, per_class in (
            (CLASS_IOU, confusion.class_iou(matrix)),
            (CLASS_ACCURACY, confusion.class_accuracy(matrix)),
        ):
            fractions |= {prefix + self._class_names[k]: float(per_class[k]) for k in scored}
        return {name: 100 * fraction for name, fraction in fractions.items()}


def _mean_ious(matrix: Tensor, classes: Sequence[int]) -> dict[str, float]:
    return {
        MEAN_IOU: confusion.mean_iou_authors(matrix, classes),
        f"{MEAN_IOU}_detectron2": confusion.mean_iou_detectron2(matrix, classes),
    }
