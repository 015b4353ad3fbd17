"""Command-line overrides that can be neither misspelt nor of the wrong kind silently."""

import math
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..utils.errors import LangDGError

_TEXT, _NUMBER, _SWITCH, _LIST, _GROUP = "text", "a number", "true or false", "a list", "a group"
_CALL = "_target_"


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """As Detectron2's `LazyConfig.apply_overrides`, for existing keys and values of their kind.

    Args:
        cfg: the config, is left as it was.
        overrides: `key=value` changes a key, `+key=value` adds one, such as an argument that the
            config leaves at its default. Hydra's grammar. Where the config has a text, a number
            is one too, and so is what the grammar cannot read, such as `runs/exp #2 (1)`; a text
            that begins with `~` is the path that a shell makes of it. `null` goes everywhere but
            where other keys are.

    Returns:
        The changed config.

    Raises:
        LangDGError: for `key=value` where there is no such key, and for `+key=value` where there is
            nothing to add it to; suggests the nearest ones.
        LangDGError: for what is no override, a value of another kind than the config's, or one that
            refers to a key that is not there.
    """
    cfg = deepcopy(cfg)
    for text in overrides:
        override = _parse(cfg, text)
        key = override.key_or_group
        _require_place(cfg, override)
        value = override.value() if _adds(override) else _fitting(cfg, override)
        if isinstance(value, str) and value.startswith("~"):
            value = os.path.expanduser(value)
        try:
            OmegaConf.update(cfg, key, value, merge=True, force_add=_adds(override))
            OmegaConf.select(cfg, key)
        except OmegaConfBaseException as error:
            raise LangDGError(f"override '{text}': {str(error).splitlines()[0]}") from error
    return cfg


def _parse(cfg: DictConfig, text: str) -> Override:
    if text.startswith("-"):
        raise LangDGError(
            f"override '{text}' is an option: it has to come before the first KEY=VALUE"
        )
    parser = OverridesParser.create()
    key, equals, value = text.partition("=")
    try:
        override = parser.parse_override(text)
        if not override.key_or_group:
            raise HydraException("there is no KEY")
    except HydraException as error:
        # A text whose quotation marks have gone to the shell; brackets and marks begin no such one.
        if (
            equals
            and value[:1] not in tuple("[{'\"")
            and "${" not in value
            and _takes_text(cfg, key)
        ):
            override = parser.parse_override(f"{key}={_quoted(value)}")
            override.input_line = text
            return override
        reason = " ".join(str(error).partition("\nSee ")[0].split())
        raise LangDGError(
            f"override '{text}' is not KEY=VALUE ({reason}); a list is written [1,2]{_hint(text)}"
        ) from error
    if override.is_delete():
        raise LangDGError(f"override '{text}': no key can be deleted; set it to null")
    if override.is_sweep_override():
        raise LangDGError(
            f"override '{text}' has several values; a list is written [1,2]{_hint(text)}"
        )
    return override


def _hint(text: str) -> str:
    """How a value is typed that is to be one text."""
    key, equals, value = text.partition("=")
    return f", and one text {shlex.quote(f'{key}={_quoted(value)}')}" if equals and key else ""


def _takes_text(cfg: DictConfig, key: str) -> bool:
    """Whether a key has a text, or nothing that says what it has."""
    key = key.lstrip("+")
    return _is_key(key) and isinstance(_select(cfg, key), str | None)


def _is_key(text: str) -> bool:
    return re.fullmatch(r"\w+(\.\w+)*", text) is not None


def _quoted(text: str) -> str:
    """A text for Hydra's grammar, where a backslash counts in front of a quotation mark alone."""
    doubled = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), text)
    return f"'{doubled}'"


def _adds(override: Override) -> bool:
    return override.is_add() or override.is_force_add()


def _require_place(cfg: DictConfig, override: Override) -> None:
    """That the key exists, or else what it is added to."""
    key, text = override.key_or_group, override.input_line
    place = key.rpartition(".")[0] if _adds(override) else key
    if place and not _exists(cfg, place):
        keys = list(_keys(OmegaConf.to_container(cfg, resolve=False)))
        nearest = get_close_matches(place, keys, cutoff=0.0)
        raise LangDGError(
            f"override '{text}': the config has no key '{place}'. Nearest: {nearest}"
            + ("" if _adds(override) else f". Write '+{text}' to add it")
        )
    value = _select(cfg, place) if place and _adds(override) else None
    if not isinstance(value, DictConfig | ListConfig | type(None)):
        raise LangDGError(f"override '{text}': {place} is {value!r}, to which no key can be added")


def _exists(cfg: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = _select(cfg, parent) if parent else cfg
    if isinstance(node, ListConfig):
        return leaf.isdecimal() and int(leaf) < len(node)
    return isinstance(node, DictConfig) and leaf in node


def _fitting(cfg: DictConfig, override: Override) -> Any:
    """The value; a number for a text as it was written."""
    key, new, text = override.key_or_group, override.value(), override.input_line
    old = _select(cfg, key)
    found, expected = _kind(new), _kind(old)
    if (expected, found) == (_TEXT, _NUMBER):
        return str(text).partition("=")[2]
    if isinstance(new, float) and not math.isfinite(new):
        raise LangDGError(f"override '{text}': expected a finite number")
    if _fits(old, new):
        return new
    raise LangDGError(
        f"override '{text}': {key} is {'a group of keys' if expected == _GROUP else repr(old)}, "
        f"expected {'a list of numbers' if found == expected else expected}, not {found or 'null'}"
    )


def _select(cfg: DictConfig, key: str) -> Any:
    """What a key leads to; None if what it refers to is not there."""
    try:
        return OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return None


def _fits(old: Any, new: Any) -> bool:
    found, expected = _kind(new), _kind(old)
    if expected == _GROUP:
        return found == _GROUP or (found is None and _CALL in old)  # a part may be left out
    if (expected, found) == (_LIST, _LIST) and old and {*map(_kind, old)} == {_NUMBER}:
        return {*map(_kind, new)} <= {_NUMBER, None}
    if (expected, found) == (_LIST, _TEXT):
        return {*map(_kind, old)} == {_TEXT}
    # A list for a text, as the reverse: names of data sets, for one.
    return found == expected or None in (found, expected) or (expected, found) == (_TEXT, _LIST)


def _kind(value: object) -> str | None:
    """In words; None for null, for objects, and for "${key}", which may become anything."""
    if isinstance(value, str):
        return None if "${" in value else _TEXT
    kinds: dict[str, tuple[type, ...]] = {
        _SWITCH: (bool,),
        _NUMBER: (int, float),
        _LIST: (list, tuple, ListConfig),
        _GROUP: (dict, DictConfig),
    }
    return next((kind for kind, types in kinds.items() if isinstance(value, types)), None)


def _keys(node: object, prefix: str = "") -> Iterator[str]:
    """Dotted names of everything in plain containers."""
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node if isinstance(node, list) else ())
    )
    for name, child in items:
        yield f"{prefix}{name}"
        yield from _keys(child, f"{prefix}{name}.")
