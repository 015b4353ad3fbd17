"""The page of all keys says what the configs hold."""

import re
import runpy
from pathlib import Path

from omegaconf import OmegaConf

from langdg_d2 import get_config


def test_the_pages_keys_are_those_of_configs():
    hook = runpy.run_path(str(Path(__file__).parents[2] / "docs/config_reference.py"))
    page = hook["page"]().replace("<wbr>", "")
    cfg = get_config("langdg_gta5.py")
    keys = re.findall(r"^\| <code>(.+)</code> \|", page, re.M)
    assert len(keys) == len(set(keys))
    missing = object()
    for key in keys:
        place = key.replace("DOMAIN", "cityscapes")
        assert OmegaConf.select(cfg, place, default=missing) is not missing, key
    for part in ("train", "evaluation"):
        assert {f"{part}.{name}" for name in cfg[part]} <= set(keys)
    assert (
        "| <code>train.max_iter</code> | `40000` | Training iterations; the learning rate's" in page
    )
    assert "| <code>styles.grid.rows</code> | `3` |  |" in page  # the comment is the grid's
