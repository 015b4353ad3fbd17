"""A description of the software and hardware, for logs and bug reports."""

import importlib
import os
import sys

import numpy as np
import torch
from tabulate import tabulate

__all__ = ["collect_env_info"]


def _version(module_name: str) -> str:
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        return "Not found"
    return str(getattr(module, "__version__", "unknown"))


def _devices() -> list[tuple[str, str]]:
    """GPUs of the same name share a row that lists their indices."""
    if not torch.cuda.is_available():
        return [("GPU available", "No: torch.cuda.is_available() == False")]
    indices: dict[str, list[str]] = {}
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        name = f"{torch.cuda.get_device_name(index)} (arch={major}.{minor})"
        indices.setdefault(name, []).append(str(index))
    rows = [(f"GPU {','.join(same)}", name) for name, same in indices.items()]
    return [("GPU available", "Yes"), *rows]


def collect_env_info() -> str:
    """A table of versions, paths and devices, then how PyTorch was built."""
    import detectron2  # not above: this module is imported while the package is

    rows = [
        ("sys.platform", sys.platform),
        ("Python", sys.version.replace("\n", "")),
        ("numpy", np.__version__),
        ("detectron2", f"{detectron2.__version__} @{os.path.dirname(detectron2.__file__)}"),
        ("PyTorch", f"{torch.__version__} @{os.path.dirname(torch.__file__)}"),
        ("PyTorch debug build", str(torch.version.debug)),
        *_devices(),
        ("Pillow", _version("PIL")),
    ]
    rows += [(name, _version(name)) for name in ("torchvision", "fvcore", "iopath", "cv2")]
    return tabulate(rows) + "\n" + torch.__config__.show()
