"""Command-line overrides that cannot be misspelt silently."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from detectron2.config import LazyConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Detectron2's `LazyConfig.apply_overrides`, for keys that exist.

    Args:
        cfg: the config.
        overrides: `key=value` changes a key, `+key=value` adds one, such as an argument that the
            config leaves at its default. Hydra's grammar.

    Returns:
        The changed config.

    Raises:
        KeyError: for `key=value` where there is no such key; suggests the nearest ones.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if not override.is_add() and not _exists(cfg, key):
            keys = _keys(OmegaConf.to_container(cfg, resolve=False))
            nearest = get_close_matches(key, list(keys), cutoff=0.0)
            raise KeyError(
                f"override '{override.input_line}': the config has no key '{key}'. Nearest: "
                f"{nearest}. Write '+{override.input_line}' to add it"
            )
    return LazyConfig.apply_overrides(cfg, list(overrides))


def _exists(cfg: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if isinstance(node, ListConfig):
        return leaf.isdecimal() and int(leaf) < len(node)
    return isinstance(node, DictConfig) and leaf in node


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
