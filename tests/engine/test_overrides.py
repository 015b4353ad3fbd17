"""Overrides change what exists, add what is marked, and refuse the rest."""

import pytest
from omegaconf import OmegaConf

from langdg_d2.engine import apply_overrides


@pytest.fixture
def cfg():
    content = {
        "train": {"max_iter": 10, "init": None},
        "augmentations": [{"size": [1, 2]}, {"p": 0.5}],
        "tied": "${train.max_iter}",
    }
    return OmegaConf.create(content, flags={"allow_objects": True})


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.max_iter=3", "tied", 3),
        ("train.init=a.pth", "train.init", "a.pth"),  # also where the value was None
        ("train.max_iter=null", "train.max_iter", None),
        ("augmentations.0.size=[3,4]", "augmentations.0.size", [3, 4]),
        ("augmentations.1.p=0.25", "augmentations.1.p", 0.25),
        ("+train.extra=5", "train.extra", 5),
    ],
)
def test_override_reaches_its_key(cfg, override, key, value):
    assert OmegaConf.select(apply_overrides(cfg, [override]), key) == value


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("train.max_iters=3", "train.max_iter"),
        ("trian.max_iter=3", "train.max_iter"),
        ("augmentations.2.p=1", "augmentations.1.p"),
        ("max_iter=3", "train.max_iter"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(cfg, override, nearest):
    before = OmegaConf.to_container(cfg)
    with pytest.raises(KeyError, match=rf"has no key .*'{nearest}'"):
        apply_overrides(cfg, [override])
    assert OmegaConf.to_container(cfg) == before
