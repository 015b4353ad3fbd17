"""Streaming confusion matrix of semantic segmentation, and the scores read from it.

Mean IoU has two conventions in this field, which differ where a data set lacks a class:
`mean_iou_authors` (FAMix, RobustNet) and `mean_iou_detectron2` (`SemSegEvaluator`).
All scores are fractions in 0..1, float64 on the CPU.
"""

from collections.abc import Sequence

import torch
from detectron2.utils import comm
from torch import Tensor

from ..utils.errors import LangDGError

# Names of Detectron2's task and of its evaluators' scores.
TASK = "sem_seg"
NUM_IMAGES = "num_images"
CLASS_IOU, CLASS_ACCURACY = "IoU-", "ACC-"  # before the name of a class
MEAN_IOU = "mIoU"

_VALUES_IN_ERROR = 10  # enough to recognise a label encoding, short enough for a log line


class ConfusionMatrix:
    """Pixel counts per pair of classes, exact in int64.

    Attributes:
        matrix: (K, K) int64; rows are ground truth, columns predictions. It moves to the device
            of the predictions.
    """

    def __init__(self, *, num_classes: int, ignore_label: int) -> None:
        """
        Args:
            num_classes: K, at least 1.
            ignore_label: ground-truth value that is not counted; outside 0..K-1.
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
        """Count the pixels of one or more images; the matrix is unchanged if this raises.

        Args:
            prediction: integer classes in 0..K-1, any shape.
            target: integer classes in 0..K-1 or the ignore label, same shape, any device.
        """
        if prediction.shape != target.shape:
            raise LangDGError(
                f"prediction {tuple(prediction.shape)} and ground truth {tuple(target.shape)} "
                "differ in size; resize the logits to the ground truth before the argmax"
            )
        # int32 before any comparison: a negative ignore label would wrap around in uint8.
        prediction = _as_int32(prediction, "prediction")
        target = _as_int32(target, "ground truth").to(prediction.device)
        ignored = target == self.ignore_label
        target = torch.where(ignored, 0, target)
        self._require_classes(prediction, "prediction")
        self._require_classes(target, "ground truth")
        # Ignored pixels go to a bin of their own: selecting the others takes twice as long.
        pairs = torch.where(ignored, self.matrix.numel(), target * self.num_classes + prediction)
        counts = torch.bincount(pairs.flatten(), minlength=self.matrix.numel() + 1)[:-1]
        self.matrix = self.matrix.to(counts.device) + counts.view_as(self.matrix)

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add the counts of `other`, which is not modified."""
        ours = (self.num_classes, self.ignore_label)
        theirs = (other.num_classes, other.ignore_label)
        if ours != theirs:
            raise LangDGError(
                f"cannot merge confusion matrices of (classes, ignore label) {ours} and {theirs}"
            )
        self.matrix = self.matrix + other.matrix.to(self.matrix.device)

    def sum_over_processes(self) -> "ConfusionMatrix":
        """The exact sum of all processes' matrices, a new matrix on the CPU of every process.

        Every process must call this, even without images.
        """
        total = ConfusionMatrix(num_classes=self.num_classes, ignore_label=self.ignore_label)
        # Gathered as CPU objects, which works with gloo and NCCL, also for a process without
        # images, whose matrix never moved to its accelerator.
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
    """Name of a mean IoU over a named class subset, e.g. "mIoU_16_detectron2"."""
    return metric.replace(MEAN_IOU, f"{MEAN_IOU}_{subset}", 1)


def class_iou(matrix: Tensor) -> Tensor:
    """(K,) TP / (TP + FP + FN); NaN for a class with neither ground truth nor prediction."""
    true_positive, in_truth, predicted = _counts(matrix)
    return true_positive / (in_truth + predicted - true_positive)


def class_accuracy(matrix: Tensor) -> Tensor:
    """(K,) share of each class' ground-truth pixels predicted right; NaN without such pixels."""
    true_positive, in_truth, _ = _counts(matrix)
    return true_positive / in_truth


def mean_iou_authors(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Mean IoU as FAMix and RobustNet report it: the nan-mean of `class_iou`.

    A class that is absent from the ground truth but predicted somewhere counts as 0.

    Args:
        matrix: (K, K) counts.
        classes: train ids to average over, all if None. The IoUs themselves are those of the
            whole matrix: a pixel taken from another class stays a false positive.
    """
    return float(class_iou(matrix)[_selection(matrix, classes)].nanmean())


def mean_iou_detectron2(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Mean IoU as Detectron2's `SemSegEvaluator` reports it: classes with ground truth only.

    Args: as `mean_iou_authors`.
    """
    selected = _selection(matrix, classes)
    in_truth = matrix.cpu().sum(dim=1)[selected] > 0
    return float(class_iou(matrix)[selected][in_truth].mean())


def frequency_weighted_iou(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """IoU averaged with each class' share of the ground-truth pixels. Args: as the means."""
    selected = _selection(matrix, classes)
    frequency = matrix.cpu().double().sum(dim=1)[selected]
    # A class of frequency 0 weighs nothing, also where its IoU is NaN.
    weighted = frequency * class_iou(matrix)[selected].nan_to_num()
    return float(weighted.sum() / frequency.sum())


def pixel_accuracy(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Share of the ground-truth pixels (of `classes`, all if None) that are predicted right."""
    selected = _selection(matrix, classes)
    true_positive, in_truth, _ = _counts(matrix)
    return float(true_positive[selected].sum() / in_truth[selected].sum())


def mean_accuracy(matrix: Tensor, classes: Sequence[int] | None = None) -> float:
    """Nan-mean of `class_accuracy`: classes without ground truth do not count."""
    return float(class_accuracy(matrix)[_selection(matrix, classes)].nanmean())


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, ground-truth pixels and predicted pixels per class, each (K,) float64."""
    # float64 is exact up to 2**53 pixels. Some accelerators do not have it, hence the CPU.
    matrix = matrix.cpu().double()
    return matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)


def _selection(matrix: Tensor, classes: Sequence[int] | None) -> list[int]:
    return list(range(len(matrix))) if classes is None else list(classes)


def _as_int32(values: Tensor, name: str) -> Tensor:
    if values.is_floating_point() or values.is_complex():
        raise TypeError(f"{name} is {values.dtype}, expected an integer map of classes")
    return values.int()
