"""From descriptions of calls to what the calls return."""

import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from detectron2.utils.registry import locate
from omegaconf import DictConfig, ListConfig, OmegaConf

__all__ = ["instantiate"]


def instantiate(cfg: Any) -> Any:
    """What comes of the calls described in lists, structured configs and ``_target_`` mappings.

    Arguments come before their call; anything else is returned as it is.
    """
    if isinstance(cfg, ListConfig):
        return ListConfig([instantiate(item) for item in cfg], flags={"allow_objects": True})
    if isinstance(cfg, list):
        return [instantiate(item) for item in cfg]
    if isinstance(cfg, DictConfig) and is_dataclass(OmegaConf.get_type(cfg)):
        return OmegaConf.to_object(cfg)
    if not (isinstance(cfg, Mapping) and "_target_" in cfg):
        return cfg
    arguments = {key: instantiate(value) for key, value in cfg.items()}
    target = arguments.pop("_target_")
    function = locate(target) if isinstance(target, str) else target
    assert callable(function), f"_target_ {target} is {function!r}, which cannot be called"
    try:
        return function(**arguments)
    except TypeError:
        logging.getLogger(__name__).error(f"The call of {target} failed")
        raise
