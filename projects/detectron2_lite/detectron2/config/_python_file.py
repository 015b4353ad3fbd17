"""Execution of Python config files, with relative imports between them."""

import builtins
import os
import uuid
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from detectron2.utils.file_io import PathManager
from omegaconf import DictConfig


def as_config(value: Any) -> Any:
    """A dict as a DictConfig that may hold any object; anything else as it is."""
    return DictConfig(value, flags={"allow_objects": True}) if isinstance(value, dict) else value


def run_config_file(filename: str) -> dict[str, Any]:
    """Execute a Python config file and return its names."""
    return vars(_run_as_module(filename))


def _run_as_module(filename: str) -> ModuleType:
    """Execute the file as a module that is not entered in ``sys.modules``.

    Its builtins carry an ``__import__`` of their own, so that relative imports mean config files
    here and nowhere else.
    """
    with PathManager.open(filename) as file:
        source = file.read()
    try:
        code = compile(source, filename, "exec")
    except SyntaxError as error:
        raise SyntaxError(f"Config file {filename} has a syntax error: {error}") from error
    # Unique, so that what pickles a class of one file by name cannot meet that of another.
    module = ModuleType(f"_config_{uuid.uuid4().hex[:8]}.{os.path.basename(filename)}")
    module.__dict__.update(
        __file__=filename,
        __builtins__={**vars(builtins), "__import__": _import_within_configs},
    )
    exec(code, module.__dict__)
    return module


def _import_within_configs(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """What an ``import`` statement of a config file calls: relative ones execute a file."""
    if level == 0 or globals is None:
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = _run_as_module(_find_sibling(globals["__file__"], name, level))
    for imported in fromlist:
        if imported in module.__dict__:
            setattr(module, imported, as_config(getattr(module, imported)))
    return module


def _find_sibling(importer: str, name: str, level: int) -> str:
    """The file that ``from <level dots><name> import ...`` in the file ``importer`` means.

    Raises:
        ImportError: if it is a folder or does not exist.
    """
    folder = os.path.dirname(importer)
    for _ in range(level - 1):
        folder = os.path.dirname(folder)
    stem = os.path.join(folder, *name.split("."))
    if name and PathManager.isfile(stem + ".py"):
        return stem + ".py"
    if PathManager.isdir(stem):
        raise ImportError(
            f"{importer} imports from the folder {stem}: a config file can import other config "
            "files by a relative import, not folders."
        )
    raise ImportError(f"{importer} imports from {stem}.py, which does not exist.")
