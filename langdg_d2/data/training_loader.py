"""Training data, as Detectron2 loads it, with a limit of what may be unreadable."""

from collections.abc import Callable, Sequence
from typing import Any

from detectron2.data import DatasetFromList, build_detection_train_loader
from torch.utils.data import DataLoader

from .unreadable import ReadableImages


def training_loader(
    *,
    dataset: Sequence[dict[str, Any]],
    mapper: Callable[[dict[str, Any]], dict[str, Any]],
    unreadable_limit: int = 0,
    **options: Any,
) -> DataLoader:
    """Detectron2's endless loader of batches.

    Args:
        dataset: dataset dicts.
        mapper: see `ReadableImages`.
        unreadable_limit: likewise.
        options: of Detectron2's `build_detection_train_loader`.
    """
    shared = DatasetFromList(list(dataset), copy=False)  # by the workers, instead of copied
    readable = ReadableImages(dataset=shared, mapper=mapper, limit=unreadable_limit)
    return build_detection_train_loader(readable, mapper=None, **options)
