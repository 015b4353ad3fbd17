"""Mixed precision and memory formats."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from .errors import LangDGError

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_MEMORY_FORMATS = ("channels_last", "contiguous_format")


def dtype_of(precision: str, device_type: str) -> torch.dtype:
    """Return the dtype of one of `PRECISIONS`; "float16" is an error on the CPU."""
    if precision not in PRECISIONS:
        raise LangDGError(f"precision '{precision}', expected one of {', '.join(PRECISIONS)}")
    if precision == "float16" and device_type == "cpu":
        raise LangDGError("precision 'float16' is for GPUs; on the CPU use 'bfloat16' or 'float32'")
    return PRECISIONS[precision]


def memory_format_of(name: str) -> torch.memory_format:
    """Return torch's memory format by name."""
    if name not in _MEMORY_FORMATS:
        raise LangDGError(f"memory format '{name}' must be one of {list(_MEMORY_FORMATS)}")
    return getattr(torch, name)


def autocast(precision: str, device_type: str) -> AbstractContextManager[Any]:
    """Return a context that computes convolutions and matrix products in one of `PRECISIONS`.

    Weights keep their dtype. "float32" suspends an enclosing autocast.
    """
    dtype = dtype_of(precision, device_type)
    return torch.autocast(device_type, dtype=dtype, enabled=dtype is not torch.float32)


def at_least_single(values: Tensor) -> Tensor:
    """Upcast half precision to float32 and keep other dtypes."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
