"""From names to objects and back."""

import pydoc
from typing import Any

from fvcore.common.registry import Registry

__all__ = ["Registry", "locate"]


def locate(name: str) -> Any:
    """The object at a dotted path such as ``"torch.nn.Conv2d"``; ImportError if there is none."""
    found = pydoc.locate(name)
    if found is None:
        # pydoc fails where a function hides the module of its name, as for torch.optim.sgd.SGD
        from hydra.utils import _locate

        found = _locate(name)
    return found


def _convert_target_to_string(t: Any) -> str:
    """The shortest path that leads to ``t``: that of a package which exports it, if any does."""
    ancestors = t.__module__.split(".")
    paths = [".".join([*ancestors[:n], t.__qualname__]) for n in range(1, len(ancestors) + 1)]
    for path in paths[:-1]:
        try:
            if locate(path) is t:
                return path
        except ImportError:
            continue
    return paths[-1]
