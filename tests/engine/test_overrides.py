"""Overrides change what exists, add what is marked, and refuse the rest."""

import re
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from langdg_d2.engine import apply_overrides
from langdg_d2.utils.errors import LangDGError


@pytest.fixture
def cfg():
    content = {
        "train": {"max_iter": 10, "init": None},
        "augmentations": [{"size": [1, 2]}, {"p": 0.5}],
        "tied": "${train.max_iter}",
        "flip": False,
        "text": "word",
        "rate": 0.1,
        "names": ["a"],
        "call": {"_target_": "list", "x": 1},
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
        ("++train.extra=5", "train.extra", 5),
        ("+train.extra={a:1}", "train.extra.a", 1),
        ("tied=4", "tied", 4),
        ("tied=${rate}", "tied", 0.1),
        ("rate=1", "rate", 1),
        ("flip=true", "flip", True),
        ("names=[]", "names", []),
        ("call=null", "call", None),
        ("text=16", "text", "16"),  # what has a text takes a number as one
        ("text=1e3", "text", "1e3"),
        ("names=a", "names", "a"),
        ("text=''", "text", ""),
        ("train.init=3", "train.init", 3),
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
    with pytest.raises(LangDGError, match=rf"has no key .*'{nearest}'"):
        apply_overrides(cfg, [override])
    assert OmegaConf.to_container(cfg) == before


def test_a_typo_is_not_advised_to_be_added(cfg):
    with pytest.raises(LangDGError) as refused:
        apply_overrides(cfg, ["train.max_iters=3"])
    assert "to add it" not in str(refused.value)


def test_later_overrides_see_earlier_ones(cfg):
    cfg = apply_overrides(cfg, ["+train.extra={}", "+train.extra.depth=1", "train.extra.depth=2"])
    assert cfg.train.extra.depth == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.max_iter=abc", "train.max_iter is 10, expected a number, not text"),
        ("train.max_iter=true", "expected a number, not true or false"),
        ("train.max_iter=[1]", "expected a number, not a list"),
        ("train.max_iter=", "expected a number, not text"),
        ("tied=abc", "tied is 10, expected a number, not text"),
        ("flip=1", "flip is False, expected true or false, not a number"),
        ("flip=maybe", "flip is False, expected true or false, not text"),
        ("names=1", "names is ['a'], expected a list, not a number"),
        ("train=3", "train is a group, expected a group, not a number"),
        ("train=null", "train is a group, expected a group, not null"),
        ("call=3", "call is a group, expected a group, not a number"),
        ("text=true", "text is 'word', expected text, not true or false"),
        ("rate=${train.absent}", "Interpolation key 'train.absent' not found"),
        ("rate=${absent:}", "Unsupported interpolation type absent"),
        ("train.max_iter", "is not KEY=VALUE (missing EQUAL at '<EOF>'): write a list as [1,2]"),
        ("=3", "the config has no key ''"),
        ("--resume", "override '--resume' is an option: pass it before the first KEY=VALUE"),
        ("names=[a", "is not KEY=VALUE (no viable alternative at input '[a')"),
        ("a b", "is not KEY=VALUE"),
        ("", "is not KEY=VALUE"),
        ("names=a,b", "which is not supported: use null to unset a key, and write a list"),
        ("~train.max_iter", "deletes a key or sweeps over values, which is not supported: use"),
    ],
)
def test_values_of_another_kind_and_no_overrides_are_refused(cfg, override, words):
    before = OmegaConf.to_container(cfg)
    with pytest.raises(LangDGError, match=re.escape(words)) as caught:
        apply_overrides(cfg, [override])
    assert str(caught.value).startswith(f"override '{override}'")
    assert "\n" not in str(caught.value)
    assert OmegaConf.to_container(cfg) == before


@pytest.mark.parametrize(
    ("override", "nearest"),
    [("+trian.max_iter=3", "train"), ("+augmentations.7.p=3", "augmentations.1")],
)
def test_nothing_is_added_where_there_is_no_place_for_it(cfg, override, nearest):
    with pytest.raises(LangDGError, match=rf"has no key .*'{nearest}'") as caught:
        apply_overrides(cfg, [override])
    assert "to add it" not in str(caught.value)


TEXTS = [
    *("runs/a=b", "runs/exp#2", "runs/täst", "runs/exp (1)", "runs/it's", "runs/a b  c", "50%"),
    *(
        "D:/runs/1",
        "runs/a@b!",
        "runs/[1]",
        "runs/{a}",
        "r/a'b\"c",
        "r/it\\'s",
        "straße→",
        "a;b&c|d",
    ),
    *("http://host:80/a?b=c&d=e", "runs/a\\", "*.png", "(1)", "=", "#"),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", ["text", "train.init", "+train.extra"])
def test_a_text_needs_no_quotation_marks_of_its_own(cfg, key, text):
    assert OmegaConf.select(apply_overrides(cfg, [f"{key}={text}"]), key.lstrip("+")) == text


@pytest.mark.parametrize("text", [*TEXTS, "a,b", "[a", "'a", "{", "true", "null", " a "])
def test_the_argument_that_an_error_shows_gives_the_text(cfg, text):
    try:
        found = apply_overrides(cfg, [f"text={text}"]).text
    except LangDGError as error:
        if ", and a string as " not in str(error):  # another kind of value
            assert text == "true"
            return
        (shown,) = shlex.split(str(error).partition(", and a string as ")[2])
        found = apply_overrides(cfg, [shown]).text
    assert found == {"null": None, " a ": "a"}.get(text, text)


@pytest.mark.parametrize("key", ["text", "train.init", "+train.extra"])
@pytest.mark.parametrize("marks", ["", "'", '"'])
def test_a_home_folder_is_expanded_quoted_or_not(cfg, key, marks, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    changed = apply_overrides(cfg, [f"{key}={marks}~/runs/1{marks}"])
    assert OmegaConf.select(changed, key.lstrip("+")) == "/home/somebody/runs/1"
    assert apply_overrides(cfg, ["text=~"]).text == "/home/somebody"
    assert apply_overrides(cfg, ["text=a~/b"]).text == "a~/b"
    assert apply_overrides(cfg, ["text=~root/x"]).text == str(Path("~root/x").expanduser())
