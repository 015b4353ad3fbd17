"""The faster of two equal ways to compute, and computing without it, to time it alone."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from open_clip.modified_resnet import AttentionPool2d

from ..layers import attention_pool, folding, upsampled_conv
from ..utils.errors import LangDGError

# What is replaced, by what: the owner's attribute, and torch's or CLIP's own way.
_PLAIN: dict[str, tuple[Any, str, Any]] = {
    "folding": (folding, "_pairs", lambda model: iter(())),
    "upsampled_conv": (upsampled_conv, "own_operator_pays", lambda x: False),
    "attention_pool": (attention_pool.AttentionPool, "forward", AttentionPool2d.forward),
}
PATHS = tuple(_PLAIN)


@contextmanager
def without(paths: Collection[str] = PATHS) -> Iterator[None]:
    """Compute as torch and CLIP do, for the time of a block and in all of this process.

    Args:
        paths: of `PATHS`.

    Raises:
        LangDGError: for another name.
    """
    if unknown := sorted(set(paths) - set(PATHS)):
        raise LangDGError(f"fast paths {unknown} do not exist; there are {list(PATHS)}")
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(mock.patch.object(*_PLAIN[path]))
        yield
