"""Refusal of what only the real Detectron2 has, whichever module it is asked of.

A finder that stands before Python's own refuses absent modules, and gives those it loads a
``__getattr__`` that refuses absent names.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_GUIDE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"


def install(root: str) -> None:
    """Let the package ``root`` and all modules that are still to be loaded below it refuse."""
    sys.meta_path.insert(0, _Finder(root))
    sys.modules[root].__dict__["__getattr__"] = _refuse_names(sys.modules[root])


def _refusal(asked: str) -> ImportError:
    root = asked.partition(".")[0]
    return ImportError(
        f"{asked} is not part of this {root} {sys.modules[root].__version__}, a small stand-in. "
        f"The real Detectron2 provides it; install that instead: {_GUIDE}",
        name=asked,
    )


class _Finder(MetaPathFinder):
    def __init__(self, root: str) -> None:
        self._prefix = root + "."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None and fullname.rpartition(".")[2].startswith("_"):
            return None  # probes for private modules, such as the compiled `_C`, count on it
        if spec is None or not spec.has_location:  # nothing, or a folder without modules
            # Python swallows a ModuleNotFoundError in `from package import name`, but not this.
            raise _refusal(fullname)
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        # Only now: a name asked for in the middle of a circular import is not missing.
        module.__dict__.setdefault("__getattr__", _refuse_names(module))


def _refuse_names(module: ModuleType) -> Callable[[str], Any]:
    def __getattr__(name: str) -> Any:
        asked = f"{module.__name__}.{name}"
        path = module.__dict__.get("__path__")
        # Probes for private names and the import of submodules count on an AttributeError.
        if name.startswith("_") or (path and PathFinder.find_spec(asked, path)):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        raise _refusal(asked)

    return __getattr__
