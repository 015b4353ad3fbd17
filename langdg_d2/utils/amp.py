"""Names of precisions and memory formats, and computing in a precision."""

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
_MEMORY_FORMATS = {
    "channels_last": torch.channels_last,
    "contiguous_format": torch.contiguous_format,
}


def dtype_of(precision: str, device_type: str) -> torch.dtype:
    """The dtype of a precision.

    Args:
        precision: one of `PRECISIONS`.
        device_type: such as "cpu" or "cuda".

    Raises:
        LangDGError: for another precision, and for "float16" on the CPU.
    """
    if precision not in PRECISIONS:
        raise LangDGError(f"precision '{precision}', expected one of {', '.join(PRECISIONS)}")
    if precision == "float16" and device_type == "cpu":
        raise LangDGError("precision 'float16' is for GPUs; on the CPU use 'bfloat16' or 'float32'")
    return PRECISIONS[precision]


def memory_format_of(name: str) -> torch.memory_format:
    """The memory format of a name, for weights and features.

    Raises:
        LangDGError: for a name other than "channels_last" and "contiguous_format".
    """
    if name not in _MEMORY_FORMATS:
        raise LangDGError(f"memory format '{name}' must be one of {list(_MEMORY_FORMATS)}")
    return _MEMORY_FORMATS[name]


def autocast(precision: str, device_type: str) -> AbstractContextManager[Any]:
    """Context in which convolutions and matrix products compute in a precision.

    Weights keep their dtype. "float32" suspends an outer autocast.

    Raises:
        LangDGError: as `dtype_of`.
    """
    dtype = dtype_of(precision, device_type)
    if dtype is torch.float32:
        return torch.autocast(device_type, enabled=False)
    return torch.autocast(device_type, dtype=dtype)


def at_least_single(values: Tensor) -> Tensor:
    """Half precision as float32, other dtypes unchanged: for sums and distances."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
