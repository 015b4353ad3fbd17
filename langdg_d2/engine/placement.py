"""Where a model lies in memory, and whether what does not train is compiled."""

import torch

from ..modeling import LangDGSegmentor
from ..modeling.folding import compile_folded
from ..utils.errors import LangDGError

_FORMATS = {
    "channels_last": torch.channels_last,
    "contiguous_format": torch.contiguous_format,
}


def place(
    model: LangDGSegmentor, *, device: str, memory_format: str, compiler: str
) -> LangDGSegmentor:
    """Move a model to where it will run, and how.

    Args:
        model: is changed, and returned.
        device: such as "cpu".
        memory_format: "channels_last" or "contiguous_format", of weights and so of features.
        compiler: backend of `torch.compile`, for layers that are folded.

    Raises:
        LangDGError: see `check_placement`.
    """
    check_placement(memory_format=memory_format, compiler=compiler)
    model.to(device).to(memory_format=_FORMATS[memory_format])
    compile_folded(model, compiler)
    return model


def check_placement(*, memory_format: str, compiler: str) -> None:
    """See that there is a layout and a compiler of these names.

    Raises:
        LangDGError: if there is not; names those there are.
    """
    if memory_format not in _FORMATS:
        raise LangDGError(f"memory format '{memory_format}' must be one of {list(_FORMATS)}")
    if compiler and compiler not in torch.compiler.list_backends(exclude_tags=()):
        known = torch.compiler.list_backends()
        raise LangDGError(f"compiler '{compiler}' must be one of {known}, or '' for none")
