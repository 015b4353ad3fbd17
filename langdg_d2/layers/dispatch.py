"""Where an operator of our own is used instead of torch's."""

import torch
from torch import Tensor


def own_operator_pays(x: Tensor) -> bool:
    """On CPUs, for which ours were timed; a trace has to show the layer that they replace."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return x.device.type == "cpu" and not traced
