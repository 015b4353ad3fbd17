"""Semantic segmentation scores of one data set, from a streaming confusion matrix.

Unlike Detectron2's `SemSegEvaluator` this keeps no prediction and reads no file: the ground
truth is the one the test mapper loaded, so a test protocol's crop or resize applies to both.
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
    """Scores of an image in percent; NaN where none of its pixels is scored.

    Attributes:
        image: its name, unique in the data set.
        mean_iou: over the scored classes that the image's ground truth has.
        pixel_accuracy: of the scored classes.
    """

    image: str
    mean_iou: float
    pixel_accuracy: float


class StreamingSemSegEvaluator(DatasetEvaluator):
    """Accumulates one confusion matrix and reports both conventions of mean IoU.

    Attributes:
        confusion: this process's counts until `evaluate()`, then the sum over all processes.
        images: scores of single images, sorted by name; those of all processes on the main process
            after `evaluate()`.
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
            dataset_name: for the log.
            class_names: name of every train id, in order.
            ignore_label: ground-truth value that is not scored.
            scored_classes: names to score, or for the Cityscapes classes the name of one of
                `CLASS_SUBSETS`, such as "16" (or 16) for those of SYNTHIA; all if None. As usual,
                pixels of other classes still count as errors of a scored class predicted there.
        """
        self._dataset_name = dataset_name
        self._class_names = list(class_names)
        self._ignore_label = ignore_label
        self._scored = classes_to_score(scored_classes, self._class_names)
        scored = {self._class_names[k] for k in self._scored}
        # Proper subsets all of whose classes are scored: other means would repeat or mislead.
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
        """Sum over processes and score; every process must call this.

        Returns:
            On the main process `{"sem_seg": {metric: value}}`: "mIoU" (authors' convention),
            "mIoU_detectron2", "fwIoU", "pixel_accuracy", "mean_accuracy"; both means over each
            of `CLASS_SUBSETS` that is part of the classes and all scored, as "mIoU_16" and
            "mIoU_16_detectron2"; "IoU-<class>", "ACC-<class>" per scored class. In percent, NaN
            where undefined; "num_images". On other processes an empty dict.
        """
        self.confusion = self._local.sum_over_processes()
        # Sorted, so that files do not depend on how processes share the images.
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
            for metric, mean in _mean_ious(matrix, classes).items():
                fractions[confusion.subset_metric(metric, subset)] = mean
        # IoUs of the whole matrix: pixels of unscored classes stay errors of the predicted class.
        for prefix, per_class in (
            (CLASS_IOU, confusion.class_iou(matrix)),
            (CLASS_ACCURACY, confusion.class_accuracy(matrix)),
        ):
            fractions |= {prefix + self._class_names[k]: float(per_class[k]) for k in scored}
        return {name: 100 * fraction for name, fraction in fractions.items()}


def image_classes(image: Mapping[str, Any], output: dict[str, Any]) -> Tensor:
    """The predicted class map (H, W) of an image.

    It is kept in `output`: the evaluators of a domain share one argmax.

    Args:
        image: "file_name", for error messages.
        output: "sem_seg", see `predicted_classes`.
    """
    if "classes" not in output:
        with _naming(image):
            output["classes"] = predicted_classes(output["sem_seg"])
    classes: Tensor = output["classes"]
    return classes


def image_counts(
    image: Mapping[str, Any], output: dict[str, Any], *, num_classes: int, ignore_label: int
) -> ConfusionMatrix:
    """The pixel counts of an image.

    They are kept in `output`: the evaluators of a domain share one count.

    Args:
        image: "sem_seg" (H, W) integer ground truth, "file_name".
        output: "sem_seg", the model's logits (K, H, W) or classes (H, W).
        num_classes: K.
        ignore_label: ground-truth value that is not counted.
    """
    if "counts" not in output:
        classes, sem_seg = image_classes(image, output), output["sem_seg"]
        counts = ConfusionMatrix(num_classes=num_classes, ignore_label=ignore_label)
        with _naming(image):
            if "sem_seg" not in image:
                raise LangDGError(
                    "no ground truth 'sem_seg'; evaluate with a test mapper that loads the labels"
                )
            if sem_seg.ndim == 3 and len(sem_seg) != num_classes:
                raise LangDGError(
                    f"the model scores {len(sem_seg)} classes, the data set has {num_classes}; "
                    "evaluate with the class names of the model"
                )
            counts.update(classes, image["sem_seg"])
        output["counts"] = counts
    shared: ConfusionMatrix = output["counts"]
    return shared


@contextmanager
def _naming(image: Mapping[str, Any]) -> Iterator[None]:
    """Begin the messages of errors with the image's file."""
    try:
        yield
    except LangDGError as error:
        name = image.get("file_name", "an image without file_name")
        raise LangDGError(f"{name}: {error}") from error


def score_image(
    image: Mapping[str, Any], counts: ConfusionMatrix, scored: Sequence[int]
) -> ImageScore:
    """Scores of an image.

    Args:
        image: "image_id", or else "file_name".
        counts: of its pixels alone.
        scored: train ids to average over.
    """
    name = image.get("image_id") or Path(image.get("file_name", "")).stem
    # Detectron2's mean: with the authors', a few pixels of an absent class would add a whole 0.
    matrix = counts.matrix.cpu()
    return ImageScore(
        str(name),
        100 * confusion.mean_iou_detectron2(matrix, scored),
        100 * confusion.pixel_accuracy(matrix, scored),
    )


def predicted_classes(sem_seg: Tensor) -> Tensor:
    """The class map (H, W) of a model's output, on its device.

    Args:
        sem_seg: (K, H, W) logits, or an integer map (H, W), which is returned as it is.
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
    """Refuse logits that are not finite: their argmax would be meaningless."""
    # A sum is a single value to check. In half precision the sum itself could overflow.
    total = logits.sum(dtype=torch.promote_types(logits.dtype, torch.float32))
    if not total.isfinite():
        raise LangDGError(
            "the model's logits are not finite: half precision may be too narrow for it, predict "
            "with precision 'float32' or 'bfloat16' (evaluation.inference.precision); or its "
            "weights are damaged"
        )


def classes_to_score(
    scored_classes: str | int | Sequence[str] | None, class_names: Sequence[str]
) -> list[int]:
    """Train ids of the classes to score.

    Args:
        scored_classes: names, or the name of one of their `class_subsets`, such as "16" (or 16);
            all if None.
        class_names: name of every train id, in order.
    """
    if scored_classes is None:
        return list(range(len(class_names)))
    if isinstance(scored_classes, (str, int)):  # on command lines a subset's name is a number
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
            f"scored_classes {names}: expected distinct names out of {list(class_names)}"
            + (f"; {unknown} are not among them" if unknown else "")
        )
    return [list(class_names).index(name) for name in names]


def _mean_ious(matrix: Tensor, classes: Sequence[int]) -> dict[str, float]:
    return {
        MEAN_IOU: confusion.mean_iou_authors(matrix, classes),
        f"{MEAN_IOU}_detectron2": confusion.mean_iou_detectron2(matrix, classes),
    }
