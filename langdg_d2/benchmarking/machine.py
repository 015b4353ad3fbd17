"""What a benchmark ran on, and how fast that machine multiplies matrices."""

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..utils.amp import PRECISIONS

_SIDE_ON_CPU, _SIDE_ON_ACCELERATOR = 2048, 8192  # of the matrices
_REPEATS = 8
_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(device_type: str) -> dict[str, Any]:
    """Processor, cores, threads, GPU and versions, for a table."""
    facts = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device_type != "cpu":
        facts["accelerator"] = torch.get_device_module(device_type).get_device_name()
        facts["CUDA"] = torch.version.cuda
        facts["float32 convolutions"] = "TF32" if torch.backends.cudnn.allow_tf32 else "float32"
    return facts


def matmul_peak(device_type: str, precision: str) -> float:
    """Most floating-point operations per second of a large product of matrices.

    It is computed as such and as a convolution of single pixels, for which torch has other code,
    on some CPUs twice as fast. A multiplication and an addition are two operations.

    Args:
        device_type: such as "cpu".
        precision: of `PRECISIONS`; "float32" as torch is set to compute it.
    """
    side = _SIDE_ON_CPU if device_type == "cpu" else _SIDE_ON_ACCELERATOR
    a, b = torch.ones(2, side, side, dtype=PRECISIONS[precision], device=device_type)
    pixels, kernels = b.view(1, 1, side, side).movedim(-1, 1), a.view(side, side, 1, 1)
    products = [lambda: a @ b, lambda: F.conv2d(pixels, kernels)]
    return 2 * side**3 / min(_least_seconds(product, device_type) for product in products)


def _least_seconds(product: Callable[[], Tensor], device_type: str) -> float:
    seconds = []
    for _ in range(_REPEATS):
        _wait(device_type)
        begin = time.perf_counter()
        product()
        _wait(device_type)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def peak_memory(device_type: str) -> int:
    """Most bytes this process has held: on the CPU of everything, else of tensors on the device."""
    if device_type != "cpu":
        return torch.get_device_module(device_type).max_memory_allocated()
    import resource  # not on Windows

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else 1024 * resident


def _wait(device_type: str) -> None:
    torch.get_device_module(device_type).synchronize()


def _processor() -> str:
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
