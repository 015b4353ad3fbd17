"""Python config files, and the relative imports between them."""

import builtins
import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from detectron2.utils.file_io import PathManager
from omegaconf import DictConfig


def as_config(value: Any) -> Any:
    """A dict as a DictConfig that may hold any object; anything else as it is."""
    return DictConfig(value, flags={"allow_objects": True}) if isinstance(value, dict) else value


def run_config_file(filename: str) -> ModuleType:
    """Execute a config file; the module of its names is not entered in ``sys.modules``."""
    with PathManager.open(filename) as file:
        code = compile(file.read(), filename, "exec")
    module = ModuleType(filename)
    # Builtins of its own, so that relative imports mean config files here and nowhere else.
    own_builtins = {**vars(builtins), "__import__": _import_within_configs}
    module.__dict__.update(__file__=filename, __builtins__=own_builtins)
    exec(code, module.__dict__)
    return module


def _import_within_configs(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """What an ``import`` statement of a config file calls."""
    if level == 0 or globals is None:
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = run_config_file(_find_sibling(globals["__file__"], name, level))
    for key, value in vars(module).items():
        if key in fromlist:
            setattr(module, key, as_config(value))
    return module


def _find_sibling(importer: str, name: str, level: int) -> str:
    """The file that ``from <level dots><name> import ...`` means in the file ``importer``."""
    parents = [os.pardir] * (level - 1)
    path = os.path.join(os.path.dirname(importer), *parents, *name.split(".")) + ".py"
    if not (name and PathManager.isfile(path)):
        raise ImportError(f"{importer}: relative import of {path}, which is no config file")
    return path
