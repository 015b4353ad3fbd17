"""Where an operator of our own is used instead of torch's."""

import torch
from torch import Tensor


def is_traced() -> bool:
    """Whether the model is being traced or compiled; traces must contain plain torch layers."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def own_operator_pays(x: Tensor) -> bool:
    """Whether a tensor is on a CPU, for which our operators were timed, and no trace is made."""
    return x.device.type == "cpu" and not is_traced()
