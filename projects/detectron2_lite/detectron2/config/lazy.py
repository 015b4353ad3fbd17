"""Descriptions of calls, and the config files made of them."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import yaml
from detectron2.utils.file_io import PathManager
from detectron2.utils.registry import _convert_target_to_string, locate
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf, SCMode

from ._python_file import as_config, run_config_file
from ._python_text import to_python_text

__all__ = ["LazyCall", "LazyConfig"]

logger = logging.getLogger(__name__)
# Libyaml's, where there is one: several times as fast as the one in Python.
_Loader = getattr(yaml, "CUnsafeLoader", yaml.UnsafeLoader)


class LazyCall:
    """``LazyCall(f)(x=1)`` is a DictConfig that describes the call ``f(x=1)``."""

    def __init__(self, target: Any) -> None:
        if not (callable(target) or isinstance(target, str | Mapping)):
            raise TypeError(f"LazyCall takes a callable, its path or a LazyCall, not {target!r}")
        # omegaconf would take a dataclass for a schema, so its path stands for it
        self._target = _convert_target_to_string(target) if is_dataclass(target) else target

    def __call__(self, **kwargs: Any) -> DictConfig:
        return as_config({**kwargs, "_target_": self._target})


class LazyConfig:
    """Loads, edits and saves configs."""

    @staticmethod
    def load(filename: str, keys: str | tuple[str, ...] | None = None) -> Any:
        """The public configs and dicts of a Python or YAML file that you trust, or some of them."""
        extension = os.path.splitext(filename)[1]
        if extension == ".py":
            names = vars(run_config_file(filename))
        elif extension in (".yaml", ".yml"):
            with PathManager.open(filename) as file:
                names = OmegaConf.create(
                    yaml.load(file, Loader=_Loader), flags={"allow_objects": True}
                )
        else:
            raise ValueError(f"{filename} is no config file: it must end in .py, .yaml or .yml")
        if isinstance(keys, str):
            return as_config(names[keys])
        if keys is not None:
            return tuple(as_config(names[key]) for key in keys)
        if extension != ".py":
            return names
        return as_config(
            {
                name: as_config(value)
                for name, value in names.items()
                if isinstance(value, DictConfig | ListConfig | dict) and not name.startswith("_")
            }
        )

    @staticmethod
    def load_rel(filename: str, keys: str | tuple[str, ...] | None = None) -> Any:
        """As `load`, for a path relative to the file that calls this."""
        caller = sys._getframe(1).f_code.co_filename
        assert caller != "<string>", "load_rel is called by code that is in no file"
        return LazyConfig.load(os.path.join(os.path.dirname(caller), filename), keys)

    @staticmethod
    def save(cfg: Any, filename: str) -> None:
        """Write YAML that `load` reads; also pickle what holds lambdas and the like."""
        try:
            content = OmegaConf.to_container(cfg, structured_config_mode=SCMode.INSTANTIATE)
            named = _name_targets(content)
            text = yaml.dump(named, default_flow_style=None, allow_unicode=True, width=9999)
            with PathManager.open(filename, "w") as file:
                file.write(text)
            yaml.load(text, Loader=_Loader)
        except Exception as error:
            logger.warning(f"{filename} cannot be loaded back: {error!r}")
            _save_pickle(cfg, filename + ".pkl")

    @staticmethod
    def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """Change ``cfg`` by ``"path.to.key=value"`` in hydra's grammar; adds keys that are new."""
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            key, value = override.key_or_group, override.value()
            if override.is_delete():
                raise NotImplementedError(f"Deleting {key} is not supported; set it to null")
            _check_path(cfg, key)
            OmegaConf.update(cfg, key, value, merge=True)
        return cfg

    @staticmethod
    def to_py(cfg: Any, prefix: str = "cfg.") -> str:
        """Python-like text for people, interpolations resolved; formatted if there is ``black``."""
        text = to_python_text(OmegaConf.to_container(cfg, resolve=True), prefix)
        try:
            import black

            return black.format_str(text, mode=black.Mode())
        except (ImportError, ValueError):  # the latter for text that is no Python
            return text


def _name_targets(content: Any) -> Any:
    """Plain containers with dotted paths for targets, except those that no path leads to."""
    if isinstance(content, list):
        return [_name_targets(item) for item in content]
    if not isinstance(content, dict):
        return content
    named = {key: _name_targets(value) for key, value in content.items()}
    target = named.get("_target_")
    try:
        path = _convert_target_to_string(target)
        return {**named, "_target_": path} if locate(path) == target else named
    except (AttributeError, ImportError):
        return named


def _save_pickle(cfg: Any, filename: str) -> None:
    try:
        import cloudpickle  # late, since few configs need it

        with PathManager.open(filename, "wb") as file:
            cloudpickle.dump(cfg, file)
        logger.warning(f"The config is pickled to {filename}")
    except Exception as error:
        logger.error(f"The config cannot be pickled to {filename} either: {error!r}")


def _check_path(cfg: DictConfig, key: str) -> None:
    parts = key.split(".")
    for depth in range(1, len(parts)):
        prefix = ".".join(parts[:depth])
        value = OmegaConf.select(cfg, prefix)
        if value is not None and not OmegaConf.is_config(value):
            raise KeyError(f"Cannot set {key}: {prefix} is {value!r}, which holds no keys")
