"""Layout of weights and features in memory."""

import torch

_FORMATS = {
    "channels_last": torch.channels_last,
    "contiguous_format": torch.contiguous_format,
}


def memory_format(name: str) -> torch.memory_format:
    """The layout of a name, for `Module.to(memory_format=...)`.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in _FORMATS:
        raise ValueError(f"memory format '{name}' must be one of {list(_FORMATS)}")
    return _FORMATS[name]
