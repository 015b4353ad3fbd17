"""A short name for weights, by which files remember the model they belong to."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from ..state_dicts import BATCH_COUNTER

_DIGITS = 16  # hexadecimal: 64 bits


def clip_fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """Hash names, shapes, types and values of weights, without BatchNorm's counters.

    Args:
        state_dict: the weights, on any device and in any order or memory layout; none of the
            three changes the fingerprint.

    Returns:
        16 hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in state_dict if not name.endswith(BATCH_COUNTER)):
        tensor = state_dict[name].detach().cpu()
        # repr separates the fields: no two different lists of weights read the same.
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        # NumPy has no bfloat16, and a scalar cannot be viewed as bytes.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]
