"""Whether the faster of two equal ways to compute is taken: one switch for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_plain = ContextVar("plain", default=False)


def fast_paths() -> bool:
    """Not in `plain_paths`, nor while a graph is traced, which has to show the model itself."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return not (traced or _plain.get())


@contextmanager
def plain_paths() -> Iterator[None]:
    """Compute as the modules are written, to compare with."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)
