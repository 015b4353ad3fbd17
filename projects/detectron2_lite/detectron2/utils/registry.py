"""Names to objects and back: registries (fvcore's) and dotted paths."""

import pydoc
from typing import Any

from fvcore.common.registry import Registry

__all__ = ["Registry", "locate"]


def locate(name: str) -> Any:
    """The object that a dotted path such as ``"torch.nn.Conv2d"`` names.

    Raises:
        ImportError: if there is no such object.
    """
    found = pydoc.locate(name)
    if found is None:
        # pydoc gives up where a function hides the module of the same name (torch.optim.sgd.SGD);
        # hydra finds those, and raises ImportError for what does not exist.
        from hydra.utils import _locate

        found = _locate(name)
    return found


def _convert_target_to_string(t: Any) -> str:
    """The shortest dotted path from which :func:`locate` finds ``t`` again.

    A class defined in ``package.module`` and exported by ``package`` is named by the latter.

    Raises:
        AttributeError: if ``t`` has no ``__module__`` or no ``__qualname__``.
    """
    qualname = t.__qualname__
    ancestors = t.__module__.split(".")
    for depth in range(1, len(ancestors)):
        shorter = ".".join([*ancestors[:depth], qualname])
        try:
            same = locate(shorter) is t
        except ImportError:
            continue
        if same:
            return shorter
    return f"{t.__module__}.{qualname}"
