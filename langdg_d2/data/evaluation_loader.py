"""The loader of test images, also for evaluations while training goes on."""

from collections.abc import Sequence
from typing import Any

from detectron2.data import build_detection_test_loader
from torch.utils.data import DataLoader

from ..structures import LabelSpace
from .label_sample import check_labels
from .worker_signals import leave_signals_to_training


def evaluation_loader(
    *, dataset: Sequence[dict[str, Any]], classes: LabelSpace | None = None, **options: Any
) -> DataLoader:
    """Detectron2's test loader, whose workers leave signals to the process that evaluates.

    Args:
        dataset: dataset dicts, with labels or without.
        classes: of the model; see `check_labels`.
        options: of `build_detection_test_loader`.

    Raises:
        DatasetError: if the labels seem wrong, see `check_labels`.
    """
    check_labels(dataset, required=False, classes=classes)
    loader = build_detection_test_loader(dataset=dataset, **options)
    loader.worker_init_fn = leave_signals_to_training
    return loader
