"""Versions and devices, for logs and bug reports."""

import importlib
import os
import sys

import torch
from tabulate import tabulate

__all__ = ["collect_env_info"]

_LIBRARIES = ("detectron2", "torchvision", "fvcore", "iopath", "numpy", "cv2", "PIL")


def collect_env_info() -> str:
    """A table of versions, places and devices, then how PyTorch was built."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    rows = [
        ("sys.platform", sys.platform),
        ("Python", sys.version.replace("\n", "")),
        ("PyTorch", _version_and_place("torch")),
        ("GPUs", ", ".join(gpus) or "none"),
        *((name, _version_and_place(name)) for name in _LIBRARIES),
    ]
    return tabulate(rows) + "\n" + torch.__config__.show()


def _version_and_place(name: str) -> str:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return "not found"
    return f"{getattr(module, '__version__', '?')} @{os.path.dirname(str(module.__file__))}"
