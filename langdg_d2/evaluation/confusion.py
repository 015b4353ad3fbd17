"""Streaming confusion matrix for semantic segmentation, and its scores.

Mean IoU has two conventions, which differ if a data set lacks a class: `mean_iou_authors` (FAMix,
RobustNet) and `mean_iou_detectron2` (`SemSegEvaluator`). All scores are fractions in 0..1, computed
in float64 on the CPU.
"""

from collections.abc import Sequence

import torch
from detectron2.utils import comm
from torch import Tensor

from ..utils.errors import LangDGError

# Names of Detectron2's task and of its evaluators' scores.
TASK = "sem_seg"
NUM_IMAGES = "num_images"
CLASS_IOU, CLASS_ACCURACY = "IoU-", "ACC-"  # prefixes of class names
MEAN_IOU = "mIoU"

_VALUES_IN_ERROR = 10  # enough to recognise a label encoding, short enough for a log line


class ConfusionMatrix:
    """Exact pixel counts per pair of classes.

    Attributes:
        matrix: (K, K) int64; rows are ground truth, columns predictions. It is moved to the device
            of the predictions.
    """

    def __init__(self, *, num_classes: int, ignore_label: int) -> None:
        """
        Args:
            num_classes: number of classes K, at least 1.
            ignore_label: ground-truth value that is not counted, outside 0..K-1.
        """
        if num_classes < 1:
            raise LangDGError(f"num_classes is {num_classes}; a confusion matrix needs at least 1")
        if 0 <= ignore_label < num_classes:
            raise LangDGError(
                f"ignore_label {ignore_label} is a class; choose one outside 0..{num_classes - 1}"
            )
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count the pixels of one or more images. The matrix is unchanged after an error.

        Args:
            prediction: integer classes in 0..K-1 in any shape.
            target: integer classes in 0..K-1 or the ignore label, in the same shape, on any device.

        Raises:
            LangDGError: if shapes differ or other values occur.
            TypeError: if a tensor is not an integer one.
        """
        if prediction.shape != target.shape:
            raise LangDGError(
                f"prediction {tuple(prediction.shape)} and ground truth {tuple(target.shape)} "
                "differ in size; resize the logits to the ground truth before the argmax"
            )
        # Converted before any comparison, because a negative ignore label would wrap around.
        prediction = _as_int32(prediction, "prediction")
        target = _as_int32(target, "ground truth").to(prediction.device)
        ignored = target == self.ignore_label
        target = torch.where(ignored, 0, target)
        self._require_classes(prediction, "prediction")
        self._require_classes(target, "ground truth")
        # Ignored pixels get their own bin, because selecting the others takes twice as long.
        pairs = torch.where(ignored, self.matrix.numel(), target * self.num_classes + prediction)
        counts = torch.bincount(pairs.flatten(), minlength=self.matrix.numel() + 1)[:-1]
        self.matrix = self.matrix.to(counts.device) + counts.view_as(self.matrix)

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add the counts of another matrix, which is not modified."""
        ours = (self.num_classes, self.ignore_label)
        theirs = (other.num_classes, other.ignore_label)
        if ours != theirs:
            raise LangDGError(
                f"cannot merge confusion matrices of (classes, ignore label) {ours} and {theirs}"
            )
        self.matrix = self.matrix + other.matrix.to(self.matrix.device)

    def sum_over_processes(self) -> "ConfusionMatrix":
        """Return the exact sum of all processes' matrices on the CPU. Collective."""
        total = ConfusionMatrix(num_classes=self.num_classes, ignore_label=self.ignore_label)
        # Gathered on the CPU, which works with gloo and NCCL, and with processes without images,
        # whose matrix was never moved to the accelerator.
        for matrix in comm.all_gather(self.matrix.cpu()):
            total.matrix = total.matrix + matrix
        return total

    def _require_classes(self, values: Tensor, name: str) -> None:
        strange = (values < 0) | (values >= self.num_classes)
        if strange.any():
            found = torch.unique(values[strange])[:_VALUES_IN_ERROR].tolist()
            raise LangDGError(
                f"{name} holds {found}, expected 0..{self.num_classes - 1}"
                + (f" or {self.ignore_label} (ignore)" if name == "ground truth" else "")
                + "; check the label encoding"
            )


def subset_metric(metric: str, subset: str) -> str:
    """Return the name of a mean IoU over a class subset, such as "mIoU_16_detectron2"."""
    return metric.replace(MEAN_IOU, f"{MEAN_IOU}_{subset}", 1)


def class_iou(matrix: Tensor) -> Tensor:
    """Return TP / (TP + FP + FN) (K,); NaN for classes in neither ground truth nor prediction."""
    true_positive, in_truth, predicted = _counts(matrix)
    return true_positive / (in_truth + predicted - true_positive)


def class_accuracy(matrix: Tensor) -> Tensor:
    """Return the share (K,) of correct pixels per true class; NaN for classes without pixels."""
    true_positive, in_truth, _ = _counts(matrix)
    return true_positive / in_truth


def mean_iou_authors(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Compute mean IoU as reported by FAMix and RobustNet, the nan-mean of `class_iou`.

    Classes that are predicted but absent from the ground truth count as 0.

    Args:
        matrix: counts (K, K).
        classes: train ids to average over, all if None. Their IoUs are those of the full matrix, so
            that pixels of other classes remain false positives.
    """
    return float(class_iou(matrix)[_selection(matrix, classes)].nanmean())


def mean_iou_detectron2(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Compute mean IoU as Detectron2's `SemSegEvaluator`, only over classes with ground truth.

    For the arguments see `mean_iou_authors`.
    """
    selected = _selection(matrix, classes)
    in_truth = matrix.cpu().sum(dim=1)[selected] > 0
    return float(class_iou(matrix)[selected][in_truth].mean())


def frequency_weighted_iou(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Compute the mean IoU weighted by the ground-truth pixels of each class.

    For the arguments see `mean_iou_authors`.
    """
    selected = _selection(matrix, classes)
    frequency = matrix.cpu().double().sum(dim=1)[selected]
    # Classes of frequency 0 have no weight, even if their IoU is NaN.
    weighted = frequency * class_iou(matrix)[selected].nan_to_num()
    return float(weighted.sum() / frequency.sum())


def pixel_accuracy(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Compute the share of correct ground-truth pixels of `classes` (all if None)."""
    selected = _selection(matrix, classes)
    true_positive, in_truth, _ = _counts(matrix)
    return float(true_positive[selected].sum() / in_truth[selected].sum())


def mean_accuracy(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Compute the mean of `class_accuracy` over `classes` with ground truth (all if None)."""
    return float(class_accuracy(matrix)[_selection(matrix, classes)].nanmean())


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return true positives, true pixels and predicted pixels per class, each (K,) float64."""
    # float64 is exact up to 2**53 pixels. On the CPU, because some accelerators lack float64.
    matrix = matrix.cpu().double()
    return matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)


def _selection(matrix: Tensor, classes: Sequence[int] | None) -> list[int]:
    return list(range(len(matrix))) if classes is None else list(classes)


def _as_int32(values: Tensor, name: str) -> Tensor:
    if values.is_floating_point() or values.is_complex():
        raise TypeError(f"{name} is {values.dtype}, expected an integer map of classes")
    return values.int()
