"""One image at a time: the classes predicted of it, its counts and its scores."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.utils import comm
from torch import Tensor

from ..structures import class_subsets
from ..utils.errors import LangDGError
from .confusion import ConfusionMatrix, mean_iou_detectron2, pixel_accuracy


class ImageScore(NamedTuple):
    """How well an image was segmented, in percent; NaN where none of its pixels is scored.

    Attributes:
        image: its name, unlike that of any other in the data set.
        mean_iou: over the scored classes that the image's ground truth has.
        pixel_accuracy: of the scored classes.
    """

    image: str
    mean_iou: float
    pixel_accuracy: float


def predicted_classes(sem_seg: Tensor) -> Tensor:
    """The class map of a model's output, on its device.

    Args:
        sem_seg: (K, H, W) logits, or an integer map (H, W), which is returned as it is.

    Returns:
        (H, W) integers.

    Raises:
        LangDGError: for any other number of axes, or if a logit is not finite.
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
    """Refuse logits that are not finite: the largest of them would be no prediction.

    Raises:
        LangDGError: if one is not.
    """
    # One number for all of them; in half precision the sum itself could overflow.
    total = logits.sum(dtype=torch.promote_types(logits.dtype, torch.float32))
    if not total.isfinite():
        raise LangDGError(
            "the model's logits are not finite: half precision may be too narrow for it, predict "
            "with precision 'float32' or 'bfloat16' (evaluation.inference.precision); or its "
            "weights are damaged"
        )


def count_image(
    image: Mapping[str, Any],
    sem_seg: Tensor,
    *,
    dataset_name: str,
    num_classes: int,
    ignore_label: int,
) -> ConfusionMatrix:
    """Count the pixels of an image.

    Args:
        image: "sem_seg" (H, W) integer ground truth, "file_name".
        sem_seg: the model's logits (K, H, W) or classes (H, W).
        dataset_name: for messages.
        num_classes: K.
        ignore_label: ground-truth value that is not counted.

    Raises:
        LangDGError: if ground truth is missing, or does not fit the output in size or values;
            names the file.
    """
    file_name = image.get("file_name", "an image without file_name")
    if "sem_seg" not in image:
        raise LangDGError(
            f"{file_name}: no ground truth 'sem_seg'; "
            "evaluate with a test mapper that loads the labels"
        )
    counts = ConfusionMatrix(num_classes=num_classes, ignore_label=ignore_label)
    try:
        if sem_seg.ndim == 3 and len(sem_seg) != num_classes:
            raise LangDGError(
                f"the model scores {len(sem_seg)} classes, the data set has {num_classes}; "
                "evaluate with the class names of the model"
            )
        counts.update(predicted_classes(sem_seg), image["sem_seg"])
    except LangDGError as error:
        raise LangDGError(f"{file_name} ({dataset_name}): {error}") from error
    return counts


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
    matrix = counts.matrix.cpu()
    return ImageScore(
        str(name),
        100 * mean_iou_detectron2(matrix, scored),
        100 * pixel_accuracy(matrix, scored),
    )


def gather_image_scores(scores: Iterable[ImageScore]) -> list[ImageScore]:
    """The images of all processes by their names, on the main process; else an empty list.

    Every process must call this, also one that has seen no image.
    """
    return sorted(score for part in comm.gather(list(scores)) for score in part)


def classes_to_score(
    scored_classes: str | int | Sequence[str] | None, class_names: Sequence[str]
) -> list[int]:
    """Train ids of the classes to score.

    Args:
        scored_classes: names, or the name of one of their `class_subsets`, such as "16" (or 16);
            all if None.
        class_names: name of every train id, in order.

    Raises:
        LangDGError: if a class or subset is unknown, or a class given twice.
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
        names = list(subsets[str(scored_classes)])
    else:
        names = list(scored_classes)
    unknown = [name for name in names if name not in class_names]
    if unknown or not names or len(set(names)) < len(names):
        raise LangDGError(
            f"scored_classes {names}: expected distinct names out of {list(class_names)}"
            + (f"; {unknown} are not among them" if unknown else "")
        )
    return [list(class_names).index(name) for name in names]
