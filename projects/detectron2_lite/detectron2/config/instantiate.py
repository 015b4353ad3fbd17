"""From descriptions of calls to the objects that the calls return."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from detectron2.utils.registry import locate
from omegaconf import DictConfig, ListConfig, OmegaConf

__all__ = ["instantiate"]


def instantiate(cfg: Any) -> Any:
    """Make the call that ``cfg`` describes, its arguments first.

    A mapping with ``_target_`` (a callable or its dotted path) is the call of it with the other
    entries as keyword arguments. Lists become lists of what their items describe, a config backed
    by a dataclass becomes that dataclass. Anything else, also a mapping without ``_target_``, is
    returned as it is.

    Raises:
        TypeError: from the call, after a log entry that names the target.
        ImportError: if a dotted path leads nowhere.
    """
    if isinstance(cfg, ListConfig):
        return ListConfig([instantiate(item) for item in cfg], flags={"allow_objects": True})
    if isinstance(cfg, list):
        return [instantiate(item) for item in cfg]
    if isinstance(cfg, DictConfig) and dataclasses.is_dataclass(cfg._metadata.object_type):
        return OmegaConf.to_object(cfg)
    if not (isinstance(cfg, Mapping) and "_target_" in cfg):
        return cfg
    arguments = {key: instantiate(value) for key, value in cfg.items()}
    target, name = _resolve(arguments.pop("_target_"))
    try:
        return target(**arguments)
    except TypeError:
        logging.getLogger(__name__).error(f"Error when instantiating {name}!")
        raise


def _resolve(target: Any) -> tuple[Any, str]:
    """The callable that a target means, and a name to report it by."""
    if isinstance(target, str):
        found, name = locate(target), target
    else:
        found = target
        try:
            name = f"{target.__module__}.{target.__qualname__}"
        except AttributeError:  # as for functools.partial
            name = str(target)
    assert callable(found), f"_target_ {name} is {found!r}, which cannot be called"
    return found, name
