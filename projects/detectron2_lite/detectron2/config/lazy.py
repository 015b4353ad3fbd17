"""Lazily described calls, and the config files made of them."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
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


class LazyCall:
    """A callable that, when called, only describes the call.

    ``LazyCall(nn.Conv2d)(in_channels=3, out_channels=8, kernel_size=1)`` is a DictConfig that can
    be edited until :func:`instantiate` makes the call. Keyword arguments only.
    """

    def __init__(self, target: Any) -> None:
        """Args: target: a callable, its dotted path, or the description of a call that gives one.

        Raises:
            TypeError: if ``target`` is none of these.
        """
        if not (callable(target) or isinstance(target, str | Mapping)):
            raise TypeError(
                "target of LazyCall must be a callable, its dotted path or a LazyCall of one. "
                f"Got {target!r}"
            )
        self._target = target

    def __call__(self, **kwargs: Any) -> DictConfig:
        # omegaconf would take a dataclass for the schema of a config: keep its path instead
        is_schema = is_dataclass(self._target)
        target = _convert_target_to_string(self._target) if is_schema else self._target
        kwargs["_target_"] = target
        return DictConfig(kwargs, flags={"allow_objects": True})


class LazyConfig:
    """Loads, edits and saves configs made of :class:`LazyCall`."""

    @staticmethod
    def load_rel(filename: str, keys: str | tuple[str, ...] | None = None) -> Any:
        """:meth:`load` with a path relative to the file that contains this call."""
        caller = sys._getframe(1).f_code.co_filename
        assert caller != "<string>", f"load_rel({filename!r}) is called by code that has no file"
        return LazyConfig.load(os.path.join(os.path.dirname(caller), filename), keys)

    @staticmethod
    def load(filename: str, keys: str | tuple[str, ...] | None = None) -> Any:
        """Load a ``.py``, ``.yaml`` or ``.yml`` config file.

        A Python file may import from others by ``from .common.train import train``, which finds
        them by their place alone: folders need no ``__init__.py``. Each load executes all files
        anew, so edits of the result reach nobody else.

        Args:
            keys: one name or several to return the values of.

        Returns:
            a DictConfig of all public configs and dicts in the file, or the values of ``keys``.

        Raises:
            ValueError: for another file extension.
            SyntaxError, ImportError: naming the file, if one does not parse or is not there.
        """
        extension = os.path.splitext(filename)[1]
        if extension == ".py":
            names = run_config_file(filename)
        elif extension in (".yaml", ".yml"):
            with PathManager.open(filename) as file:
                # unsafe, since saved configs hold Python names: load only files you trust
                names = OmegaConf.create(yaml.unsafe_load(file), flags={"allow_objects": True})
        else:
            raise ValueError(f"{filename} is no config file: it must end in .py, .yaml or .yml")
        if isinstance(keys, str):
            return as_config(names[keys])
        if keys is not None:
            return tuple(as_config(names[key]) for key in keys)
        if extension != ".py":
            return names
        public = {
            name: as_config(value)
            for name, value in names.items()
            if isinstance(value, DictConfig | ListConfig | dict) and not name.startswith("_")
        }
        return DictConfig(public, flags={"allow_objects": True})

    @staticmethod
    def save(cfg: Any, filename: str) -> None:
        """Write a config as YAML that :meth:`load` reads back, interpolations kept.

        A config with objects that YAML cannot bring back, such as lambdas, is also pickled to
        ``<filename>.pkl`` with a warning; the YAML, if any, is then for reading only.
        """
        try:
            cfg = deepcopy(cfg)
        except Exception:
            logger.debug("The config cannot be copied: its targets are saved as objects")
        else:
            _name_targets(cfg)
        try:
            content = OmegaConf.to_container(
                cfg, resolve=False, structured_config_mode=SCMode.INSTANTIATE
            )
            text = yaml.dump(content, default_flow_style=None, allow_unicode=True, width=9999)
            with PathManager.open(filename, "w") as file:
                file.write(text)
        except Exception:
            logger.exception("Unable to serialize the config to yaml. Error:")
            return _save_pickle(cfg, filename + ".pkl")
        try:
            yaml.unsafe_load(text)
        except Exception:
            logger.warning(
                f"The config holds objects that YAML cannot represent. {filename} can be read "
                "by people but not loaded."
            )
            _save_pickle(cfg, filename + ".pkl")
        return None

    @staticmethod
    def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """Change ``cfg`` in place by ``"path.to.key=value"`` strings in hydra's grammar.

        A key that does not exist is added.

        Raises:
            KeyError: if the path leads through a value that is not a config.
            NotImplementedError: for a deletion, ``"~key"``.
        """
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            key = override.key_or_group
            value = override.value()
            if override.is_delete():
                raise NotImplementedError(f"Deleting {key} is not supported; set it to null")
            _check_path(cfg, key)
            OmegaConf.update(cfg, key, value, merge=True)
        return cfg

    @staticmethod
    def to_py(cfg: Any, prefix: str = "cfg.") -> str:
        """The config, interpolations resolved, as Python-like text for people to read.

        Formatted where the package ``black`` is installed.
        """
        text = to_python_text(OmegaConf.to_container(cfg, resolve=True), prefix)
        try:
            import black
        except ImportError:
            return text
        try:
            return black.format_str(text, mode=black.Mode())
        except black.InvalidInput:
            return text


def _name_targets(cfg: Any) -> None:
    """Replace, at all depths, targets that are objects by their dotted paths."""
    if isinstance(cfg, DictConfig):
        if "_target_" in cfg and callable(cfg._target_):
            path = _path_of(cfg._target_)
            cfg._target_ = cfg._target_ if path is None else path
        children = list(cfg.values())
    else:
        children = list(cfg) if isinstance(cfg, ListConfig) else []
    for child in children:
        _name_targets(child)


def _path_of(target: Any) -> str | None:
    """The dotted path that leads to ``target``; None if there is none, as for a partial."""
    try:
        path = _convert_target_to_string(target)
        return path if locate(path) == target else None
    except (AttributeError, ImportError):
        return None


def _save_pickle(cfg: Any, filename: str) -> None:
    try:
        import cloudpickle  # late, since few configs need it

        with PathManager.open(filename, "wb") as file:
            cloudpickle.dump(cfg, file)
    except Exception:
        logger.exception(f"The config cannot be pickled to {filename} either. Error:")
    else:
        logger.warning(f"Config is saved using cloudpickle at {filename}.")


def _check_path(cfg: DictConfig, key: str) -> None:
    """KeyError if a proper prefix of the dotted key names a value that holds no keys."""
    parts = key.split(".")
    for depth in range(1, len(parts)):
        prefix = ".".join(parts[:depth])
        value = OmegaConf.select(cfg, prefix, default=None)
        if value is None:
            return
        if not OmegaConf.is_config(value):
            raise KeyError(
                f"Cannot set {key}: {prefix} is {value!r}, a {type(value).__name__}, not a config."
            )
