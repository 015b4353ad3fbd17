"""How the stand-in answers a request for something only the real Detectron2 has.

One finder, put before Python's own, serves every ``detectron2.*`` module. It refuses the modules
that do not exist and gives those that do a module ``__getattr__`` that refuses missing names, so
no package needs code of its own for this.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_INSTALL_GUIDE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"


def refusal(root: str, asked: str) -> ImportError:
    """The error for ``asked``, a dotted name that the stand-in package ``root`` lacks."""
    version = sys.modules[root].__dict__.get("__version__", "?")
    return ImportError(
        f"{asked} is not part of this {root} {version}, a small stand-in for the real one. "
        f"The real Detectron2 provides it; install that instead: {_INSTALL_GUIDE}",
        name=asked,
    )


class _StandInLoader(SourceFileLoader):
    """Loads a module as usual, then lets it refuse the names it does not define."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        # Only once the body has run: a name asked for during a circular import is not missing.
        module.__dict__.setdefault("__getattr__", _attribute_answer(module))


class _StandInFinder(MetaPathFinder):
    """Finds the modules below ``root`` and raises ``ImportError`` for those it lacks."""

    def __init__(self, root: str) -> None:
        self.root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self.root + "."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            # Not ModuleNotFoundError: Python swallows that one in `from package import name`.
            raise refusal(self.root, fullname)
        if type(spec.loader) is SourceFileLoader:
            spec.loader = _StandInLoader(spec.loader.name, spec.loader.path)
        return spec


def _attribute_answer(module: ModuleType) -> Callable[[str], Any]:
    """A module ``__getattr__``: ``ImportError`` for missing public names, else the usual error."""

    def __getattr__(name: str) -> Any:
        # Tools probe modules for dunder and private names and expect AttributeError, as does the
        # import system before it imports a submodule.
        if name.startswith("_") or _is_submodule(module, name):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        raise refusal(module.__name__.partition(".")[0], f"{module.__name__}.{name}")

    return __getattr__


def _is_submodule(module: ModuleType, name: str) -> bool:
    path = getattr(module, "__path__", None)
    return path is not None and PathFinder.find_spec(f"{module.__name__}.{name}", path) is not None


def install(root: str) -> None:
    """Let the package ``root`` and every module below it refuse what they lack; idempotent."""
    if any(isinstance(finder, _StandInFinder) and finder.root == root for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _StandInFinder(root))
    for name, module in sys.modules.copy().items():
        if name == root or name.startswith(root + "."):  # loaded before the finder was in place
            module.__dict__.setdefault("__getattr__", _attribute_answer(module))
