"""The loader of test images, also for evaluations while training goes on."""

from typing import Any

from detectron2.data import build_detection_test_loader
from torch.utils.data import DataLoader

from .worker_signals import leave_signals_to_training


def evaluation_loader(**options: Any) -> DataLoader:
    """Detectron2's test loader, whose workers leave signals to the process that evaluates.

    Args:
        options: of `build_detection_test_loader`.
    """
    loader = build_detection_test_loader(**options)
    loader.worker_init_fn = leave_signals_to_training
    return loader
