"""LazyConfig files and overrides, with errors that name the file and the key."""

import logging
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from detectron2.config import LazyConfig, instantiate
from detectron2.utils.file_io import PathManager
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..utils.errors import LangDGError

logger = logging.getLogger(__name__)

_SUFFIXES = (".py", ".yaml", ".yml")
_SECTIONS = ("train", "model", "dataloader", "evaluation", "styles", "optimizer", "lr_scheduler")

_ONE_OR_MORE = ("names", "source", "style_prompts")  # keys that accept a string or a list

_TEXT, _NUMBER, _LIST = "text", "a number", "a list"
_KINDS: dict[str, tuple[type, ...]] = {
    _TEXT: (str,),
    "true or false": (bool,),  # before numbers, because a bool is an int
    _NUMBER: (int, float),
    _LIST: (list, ListConfig),
    "a group": (dict, DictConfig),
}


def load_config(config_file: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Load a config and apply overrides.

    Args:
        config_file: LazyConfig file. It is Python code: load only files that you trust.
        overrides: see `apply_overrides`.
    """
    if not PathManager.isfile(config_file) or Path(config_file).suffix not in _SUFFIXES:
        raise LangDGError(
            f"there is no config file '{config_file}': pass --config-file with a file that ends in "
            f"{', '.join(_SUFFIXES)}, such as configs/langdg_gta5.py"
        )
    cfg = LazyConfig.load(config_file)
    if missing := [name for name in _SECTIONS if name not in (cfg or ())]:
        raise LangDGError(
            f"config file '{config_file}' lacks {', '.join(missing)} and looks like a shared part: "
            "pass a complete config such as configs/langdg_gta5.py"
        )
    return apply_overrides(cfg, overrides)


def compose(cfg: DictConfig, key: str) -> Any:
    """Instantiate the object that a key of a config describes; return None if it is null.

    Raises:
        LangDGError: names the key if a constructor, such as one of torch, raises a `ValueError`.
    """
    try:
        return instantiate(OmegaConf.select(cfg, key))
    except ValueError as error:
        raise LangDGError(f"{key}: {' '.join(str(error).split())}") from error


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Apply overrides like Detectron2's `LazyConfig.apply_overrides`, but check keys and types.

    Args:
        cfg: config, which is not changed.
        overrides: overrides in Hydra's grammar. `key=value` changes a key; `+key=value` adds one,
            such as an argument that the config leaves at its default. If the config has a string,
            numbers become strings, and so do values that the grammar cannot parse, such as
            `runs/exp #2 (1)`; a leading `~` is expanded to the home folder. `null` is allowed for
            all keys.

    Returns:
        A changed copy of the config.

    Raises:
        LangDGError: if a key does not exist or a value has the wrong type.
    """
    cfg = deepcopy(cfg)
    for text in overrides:
        override = _parse(cfg, text)
        key, adds = override.key_or_group, override.is_add() or override.is_force_add()
        _require_place(cfg, override, adds)
        value = override.value() if adds else _fitting(_select(cfg, key), override)
        if isinstance(value, str) and value.startswith("~"):
            value = os.path.expanduser(value)
        try:
            OmegaConf.update(cfg, key, value, merge=True, force_add=adds)
            OmegaConf.select(cfg, key)
        except OmegaConfBaseException as error:
            raise LangDGError(f"override '{text}': {str(error).splitlines()[0]}") from error
    return cfg


def _parse(cfg: DictConfig, text: str) -> Override:
    if text.startswith("-"):
        raise LangDGError(f"override '{text}' is an option: pass it before the first KEY=VALUE")
    parser = OverridesParser.create()
    key, equals, value = text.partition("=")
    one_text = f"{key}={_quoted(value)}"
    hint = f", and a string as {shlex.quote(one_text)}" if equals and key else ""
    try:
        override = parser.parse_override(text)
    except HydraException as error:
        # Hydra requires quotes around most strings, but the shell removes them. A leading bracket
        # or quote shows that the value is not meant to be a plain string.
        if equals and not value.startswith(("[", "{", "'", '"')) and _takes_text(cfg, key, value):
            override = parser.parse_override(one_text)
            override.input_line = text
            return override
        reason = " ".join(str(error).partition("\nSee ")[0].split())
        raise LangDGError(
            f"override '{text}' is not KEY=VALUE ({reason}): write a list as [1,2]{hint}"
        ) from error
    if override.is_delete() or override.is_sweep_override():
        raise LangDGError(
            f"override '{text}' deletes a key or sweeps over values, which is not supported: use "
            f"null to unset a key, and write a list as [1,2]{hint}"
        )
    return override


def _takes_text(cfg: DictConfig, key: str, value: str) -> bool:
    """Return whether a key has a string or null, and the value refers to no other key."""
    key = key.lstrip("+")
    is_key = re.fullmatch(r"\w+(\.\w+)*", key) is not None
    return is_key and "${" not in value and isinstance(_select(cfg, key), str | None)


def _quoted(text: str) -> str:
    """Quote a string for Hydra's grammar, in which backslashes escape only quotes."""
    doubled = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), text)
    return f"'{doubled}'"


def _require_place(cfg: DictConfig, override: Override, adds: bool) -> None:
    """Raise an error if a key, or the parent of a key to add, does not exist."""
    key, text = override.key_or_group, override.input_line
    place = key.rpartition(".")[0] if adds else key
    keys = list(_keys(OmegaConf.to_container(cfg, resolve=False)))
    if place not in keys and (place or not adds):
        # Only constructors have arguments that the config may leave at their defaults.
        may_be_added = not adds and f"{place.rpartition('.')[0]}._target_" in keys
        raise LangDGError(
            f"override '{text}': the config has no key '{place}'. Nearest: "
            f"{get_close_matches(place, keys, cutoff=0.0)}"
            + (f". Use '+{text}' to add it" if may_be_added else "")
        )
    parent = OmegaConf.select(cfg, place) if place else cfg
    if adds and (not isinstance(parent, DictConfig) or "_target_" not in parent):
        logger.warning("override '%s' adds a key, which only your own code can read", text)


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of all items in nested dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node or ())
    for name, child in items:
        yield f"{prefix}{name}"
        if isinstance(child, dict | list):
            yield from _keys(child, f"{prefix}{name}.")


def _select(cfg: DictConfig, key: str) -> Any:
    """Return the value of a key; None if its reference cannot be resolved."""
    try:
        return OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return None


def _fitting(old: Any, override: Override) -> Any:
    """Return the new value of a key; a number becomes a string if the config has a string."""
    new, text = override.value(), str(override.input_line)
    found, expected = _kind(new), _kind(old)
    if (expected, found) == (_TEXT, _NUMBER):
        return text.partition("=")[2]
    one_or_more = override.key_or_group.rpartition(".")[2] in _ONE_OR_MORE
    names = one_or_more and {expected, found} == {_TEXT, _LIST}
    # Only groups with a `_target_` may be null.
    lacks_group = isinstance(old, DictConfig) and new is None and "_target_" not in old
    if lacks_group or (found != expected and None not in (found, expected) and not names):
        shown = expected if isinstance(old, DictConfig) else repr(old)
        raise LangDGError(
            f"override '{text}': {override.key_or_group} is {shown}, expected {expected}, not "
            f"{found or 'null'}"
        )
    return new


def _kind(value: object) -> str | None:
    """Return the name of a value's type; None for null, objects and references."""
    if isinstance(value, str) and "${" in value:
        return None
    return next((kind for kind, types in _KINDS.items() if isinstance(value, types)), None)
