"""Semantic segmentation scores of a data set, from a streaming confusion matrix.

Unlike Detectron2's `SemSegEvaluator`, this stores no predictions and reads no files: the ground
truth comes from the test mapper, so that crops and resizes of a test protocol apply to both.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import Tensor

from ..structures import class_subsets
from ..utils.errors import LangDGError
from . import confusion
from .confusion import CLASS_ACCURACY, CLASS_IOU, MEAN_IOU, NUM_IMAGES, TASK, ConfusionMatrix


class ImageScore(NamedTuple):
    """Scores of an image in percent; NaN if none of its pixels are scored.

    Attributes:
        image: name of the image, unique in the data set.
        mean_iou: mean IoU over the scored classes in the image's ground truth.
        pixel_accuracy: pixel accuracy of the scored classes.
    """

    image: str
    mean_iou: float
    pixel_accuracy: float


class StreamingSemSegEvaluator(DatasetEvaluator):
    """Accumulates a confusion matrix and reports both conventions of mean IoU.

    Attributes:
        confusion: counts of this process; after `evaluate()`, the sum over all processes.
        images: after `evaluate()` on the main process, the scores of all images, sorted by name.
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
            dataset_name: name used in the log.
            class_names: name of each train id, in order.
            ignore_label: ground-truth value that is not scored.
            scored_classes: names of classes to score, or for the Cityscapes classes the name of one
                of `CLASS_SUBSETS`, such as "16" (or 16) for SYNTHIA; all if None. As usual, scored
                classes predicted on pixels of other classes still count as errors.
        """
        self._dataset_name = dataset_name
        self._class_names = list(class_names)
        self._ignore_label = ignore_label
        self._scored = classes_to_score(scored_classes, self._class_names)
        scored = {self._class_names[k] for k in self._scored}
        # Only proper subsets whose classes are all scored; other means would repeat or mislead.
        self._subsets = {
            subset: [self._class_names.index(name) for name in names]
            for subset, names in class_subsets(self._class_names).items()
            if set(names) <= scored and set(names) < set(class_names)
        }
        self.reset()

    def reset(self) -> None:
        """Discard all counts and scores."""
        self._local = ConfusionMatrix(
            num_classes=len(self._class_names), ignore_label=self._ignore_label
        )
        self._local_images: list[ImageScore] = []
        self.confusion = self._local
        self.images: list[ImageScore] = []

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[dict[str, Any]]
    ) -> None:
        """Count the pixels of a batch.

        Args:
            inputs: one dict per image: "sem_seg" (H, W) integer ground truth, "file_name".
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).
        """
        for image, output in zip(inputs, outputs, strict=True):
            counts = image_counts(
                image,
                output,
                num_classes=len(self._class_names),
                ignore_label=self._ignore_label,
            )
            self._local.merge(counts)
            self._local_images.append(score_image(image, counts, self._scored))

    def evaluate(self) -> "OrderedDict[str, dict[str, float]]":
        """Sum the counts over processes and compute the scores. Collective.

        Returns:
            On the main process `{"sem_seg": {metric: value}}`: "mIoU" (authors' convention),
            "mIoU_detectron2", "fwIoU", "pixel_accuracy", "mean_accuracy"; both means over each of
            `CLASS_SUBSETS` whose classes are all scored, as "mIoU_16" and "mIoU_16_detectron2";
            "IoU-<class>" and "ACC-<class>" per scored class; "num_images". Scores are in percent,
            NaN if undefined. On other processes an empty dict.
        """
        self.confusion = self._local.sum_over_processes()
        # Sorted, so that files do not depend on the distribution of images over processes.
        self.images = sorted(one for part in comm.gather(self._local_images) for one in part)
        if not comm.is_main_process():
            return OrderedDict()
        metrics = self._metrics() | {NUM_IMAGES: float(len(self.images))}
        logging.getLogger(__name__).info(
            "%s: %d images, mIoU %.2f (authors' convention), %.2f (Detectron2's)",
            self._dataset_name,
            len(self.images),
            metrics["mIoU"],
            metrics["mIoU_detectron2"],
        )
        return OrderedDict({TASK: metrics})

    def details(self) -> dict[str, Any]:
        """Return class names, confusion matrix and the scores of all images."""
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
            for metric, mean in _mean_ious(matrix, classes).items():
                fractions[confusion.subset_metric(metric, subset)] = mean
        # IoUs of the full matrix, so that pixels of unscored classes count as errors.
        for prefix, per_class in (
            (CLASS_IOU, confusion.class_iou(matrix)),
            (CLASS_ACCURACY, confusion.class_accuracy(matrix)),
        ):
            fractions |= {prefix + self._class_names[k]: float(per_class[k]) for k in scored}
        return {name: 100 * fraction for name, fraction in fractions.items()}


def image_classes(image: Mapping[str, Any], output: dict[str, Any]) -> Tensor:
    """Return the predicted class map (H, W) of an image.

    It is cached in `output`, so that the evaluators of a domain share one argmax.

    Args:
        image: dict with "file_name", for error messages.
        output: dict with "sem_seg", see `predicted_classes`.
    """
    if "classes" not in output:
        with _naming(image):
            output["classes"] = predicted_classes(output["sem_seg"])
    classes: Tensor = output["classes"]
    return classes


def image_counts(
    image: Mapping[str, Any], output: dict[str, Any], *, num_classes: int, ignore_label: int
) -> ConfusionMatrix:
    """Return the pixel counts of an image.

    They are cached in `output`, so that the evaluators of a domain count only once.

    Args:
        image: dict with "sem_seg", integer ground truth (H, W), and "file_name".
        output: dict with "sem_seg", logits (K, H, W) or classes (H, W).
        num_classes: number of classes K.
        ignore_label: ground-truth value that is not counted.
    """
    if "counts" not in output:
        classes, sem_seg = image_classes(image, output), output["sem_seg"]
        counts = ConfusionMatrix(num_classes=num_classes, ignore_label=ignore_label)
        with _naming(image):
            if "sem_seg" not in image:
                raise LangDGError(
                    "no ground truth 'sem_seg'; evaluate with a test mapper that loads labels"
                )
            if sem_seg.ndim == 3 and len(sem_seg) != num_classes:
                raise LangDGError(
                    f"the model predicts {len(sem_seg)} classes, the data set has {num_classes}; "
                    "evaluate with the class names of the model"
                )
            counts.update(classes, image["sem_seg"])
        output["counts"] = counts
    shared: ConfusionMatrix = output["counts"]
    return shared


@contextmanager
def _naming(image: Mapping[str, Any]) -> Iterator[None]:
    """Prepend the file of an image to error messages."""
    try:
        yield
    except LangDGError as error:
        name = image.get("file_name", "an image without file_name")
        raise LangDGError(f"{name}: {error}") from error


def score_image(
    image: Mapping[str, Any], counts: ConfusionMatrix, scored: Sequence[int]
) -> ImageScore:
    """Compute the scores of an image.

    Args:
        image: dict with "image_id" or "file_name".
        counts: pixel counts of this image.
        scored: train ids to average over.
    """
    name = image.get("image_id") or Path(image.get("file_name", "")).stem
    # In the authors' convention, a few pixels predicted as an absent class would count as 0.
    matrix = counts.matrix.cpu()
    return ImageScore(
        str(name),
        100 * confusion.mean_iou_detectron2(matrix, scored),
        100 * confusion.pixel_accuracy(matrix, scored),
    )


def predicted_classes(sem_seg: Tensor) -> Tensor:
    """Return the class map (H, W) of a model's output, on its device.

    Args:
        sem_seg: logits (K, H, W), or an integer class map (H, W), which is returned unchanged.
    """
    if sem_seg.ndim == 2:
        return sem_seg
    if sem_seg.ndim == 3:
        require_finite(sem_seg)
        return sem_seg.argmax(dim=0)
    raise LangDGError(
        f"output 'sem_seg' has shape {tuple(sem_seg.shape)}, "
        "expected logits (K, H, W) or classes (H, W)"
    )


def require_finite(logits: Tensor) -> None:
    """Raise an error if logits are not finite, because their argmax would be meaningless."""
    # A sum is a single value to check; in half precision, it could overflow.
    total = logits.sum(dtype=torch.promote_types(logits.dtype, torch.float32))
    if not total.isfinite():
        raise LangDGError(
            "the model's logits are not finite: the range of half precision may be too small, so "
            "predict with precision 'float32' or 'bfloat16' (evaluation.inference.precision); "
            "otherwise the weights are damaged"
        )


def classes_to_score(
    scored_classes: str | int | Sequence[str] | None, class_names: Sequence[str]
) -> list[int]:
    """Return the train ids of the classes to score.

    Args:
        scored_classes: class names, or the name of one of `class_subsets`, such as "16" (or 16);
            all if None.
        class_names: name of each train id, in order.
    """
    if scored_classes is None:
        return list(range(len(class_names)))
    if isinstance(scored_classes, (str, int)):  # command lines turn names of subsets into numbers
        subsets = class_subsets(class_names)
        if str(scored_classes) not in subsets:
            named = f"one of {list(subsets)}, " if subsets else ""
            raise LangDGError(
                f"scored_classes '{scored_classes}' is not a subset of these classes; expected "
                f"{named}a list of names, or null for all"
            )
        scored_classes = subsets[str(scored_classes)]
    names = list(scored_classes)
    unknown = [name for name in names if name not in class_names]
    if unknown or not names or len(set(names)) < len(names):
        raise LangDGError(
            f"scored_classes {names}: expected distinct names from {list(class_names)}"
            + (f"; {unknown} are not among them" if unknown else "")
        )
    return [list(class_names).index(name) for name in names]


def _mean_ious(matrix: Tensor, classes: Sequence[int]) -> dict[str, float]:
    return {
        MEAN_IOU: confusion.mean_iou_authors(matrix, classes),
        f"{MEAN_IOU}_detectron2": confusion.mean_iou_detectron2(matrix, classes),
    }
