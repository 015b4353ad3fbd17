"""Config files, lazy calls and instantiation, on whichever Detectron2 is installed."""

import ast
import logging
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from detectron2.config import LazyCall, LazyConfig, instantiate
from detectron2.layers import ShapeSpec
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

BASE = """
from detectron2.config import LazyCall as L
from torch import nn

conv = L(nn.Conv2d)(in_channels=3, out_channels=8, kernel_size=1)
train = dict(seed=1, steps=[10, 20], nested=dict(deep="text"))
_hidden = dict(a=1)
number = 5
"""


@pytest.fixture
def write(tmp_path):
    """Write a file below a fresh folder and return its path."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


@dataclass
class Point:
    """A dataclass to be described and made."""

    x: int = 0
    tags: list[str] = field(default_factory=list)


def describe(**kwargs):
    """A target that returns its arguments."""
    return kwargs


# loading


def test_load_returns_public_configs_and_dicts_only(write):
    cfg = LazyConfig.load(write("base.py", BASE))
    assert isinstance(cfg, DictConfig)
    assert sorted(cfg) == ["conv", "train"]
    assert cfg.train.steps == [10, 20]
    assert cfg.train.nested.deep == "text"


def test_load_with_a_key_returns_its_value_and_with_keys_a_tuple(write):
    path = write("base.py", BASE)
    assert LazyConfig.load(path, "train").seed == 1
    assert LazyConfig.load(path, "number") == 5
    train, hidden = LazyConfig.load(path, ("train", "_hidden"))
    assert isinstance(hidden, DictConfig)
    assert (train.seed, hidden.a) == (1, 1)
    with pytest.raises(KeyError, match="absent"):
        LazyConfig.load(path, "absent")


def test_relative_imports_find_files_in_folders_that_are_no_packages(write):
    write("common/parts/base.py", BASE)
    write("common/train.py", "from .parts.base import train, number\ntrain.seed = number\n")
    leaf = write(
        "recipes/leaf.py",
        "from ..common.train import train\nimport os.path\nfrom torch import nn as layers\n"
        "kind = dict(name=type(train).__name__)\n"
        "train.separator, train.steps[0] = os.path.sep, 11\n",
    )
    cfg = LazyConfig.load(leaf)
    assert sorted(cfg) == ["kind", "train"]
    assert (cfg.train.seed, cfg.train.separator, list(cfg.train.steps)) == (5, "/", [11, 20])
    assert cfg.kind.name == "DictConfig"


def test_edits_of_an_imported_config_stay_in_the_file_that_made_them(write):
    write("base.py", BASE)
    write("editor.py", "from .base import train\ntrain.seed = 2\n")
    leaf = write(
        "leaf.py",
        "from .editor import train as edited\nfrom .base import train\nedited.steps.append(30)\n",
    )
    for _ in range(2):
        cfg = LazyConfig.load(leaf)
        assert (cfg.edited.seed, cfg.train.seed) == (2, 1)
        assert (list(cfg.edited.steps), list(cfg.train.steps)) == ([10, 20, 30], [10, 20])


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("from .folder import x", "folder"),
        ("from . import x", "[Rr]elative import"),
        ("from .absent import x", r"absent\.py"),
        ("from ..nowhere.absent import x", r"absent\.py"),
        ("from .file import name", "name"),
    ],
)
def test_relative_imports_of_what_is_not_there_fail(write, statement, complaint):
    write("folder/file.py", "x = {}")
    write("file.py", "x = {}")
    with pytest.raises((ImportError, KeyError), match=complaint):
        LazyConfig.load(write("leaf.py", statement))


def test_files_that_are_no_configs_are_refused_by_name(write):
    with pytest.raises(ValueError, match=r"config\.json"):
        LazyConfig.load(write("config.json", "{}"))
    write("broken.py", "train = dict(")
    with pytest.raises(SyntaxError, match=r"broken\.py"):
        LazyConfig.load(write("leaf.py", "from .broken import train"))


# lazy calls


def test_lazy_call_describes_the_call_and_can_be_edited():
    cfg = LazyCall(nn.Conv2d)(in_channels=3, out_channels=8, kernel_size=1)
    assert isinstance(cfg, DictConfig)
    assert cfg._target_ is nn.Conv2d
    cfg.out_channels = 16
    conv = instantiate(cfg)
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.shape == (16, 3, 1, 1)
    with pytest.raises(TypeError, match="3"):
        LazyCall(3)


def test_lazy_call_of_a_dataclass_keeps_its_path():
    cfg = LazyCall(ShapeSpec)(channels=3)
    assert cfg._target_ == "detectron2.layers.ShapeSpec"
    assert instantiate(cfg) == ShapeSpec(channels=3)


# instantiation


def test_arguments_are_instantiated_before_the_call_and_lists_keep_their_kind():
    made = instantiate(
        LazyCall(describe)(value=LazyCall(describe)(one=1), items=[LazyCall(nn.ReLU)(), None])
    )
    assert made["value"] == {"one": 1}
    assert isinstance(made["items"], ListConfig)
    assert isinstance(made["items"][0], nn.ReLU)
    assert made["items"][1] is None
    plain = instantiate([LazyCall(describe)(one=1), 2])
    assert type(plain) is list
    assert plain == [{"one": 1}, 2]


@pytest.mark.parametrize("value", [None, 3, "text", (1, 2), {"a": {"_target_": "dict"}}])
def test_what_describes_no_call_is_returned_as_it_is(value):
    assert instantiate(value) is value
    inner = instantiate(LazyCall(describe)(options={"inner": {"_target_": "torch.nn.ReLU"}}))
    assert inner["options"].inner._target_ == "torch.nn.ReLU"


def test_a_target_may_be_a_path_or_the_description_of_a_callable():
    path = "torch.optim.sgd.SGD"  # a function of the package hides the module
    parameters = [nn.Parameter()]
    assert instantiate({"_target_": path, "params": parameters, "lr": 2.0}).defaults["lr"] == 2
    maker = LazyCall(LazyCall(lambda extra: partial(describe, extra=extra))(extra=1))(value=2)
    assert instantiate(maker) == {"extra": 1, "value": 2}


def test_interpolations_are_resolved_relative_to_their_place():
    cfg = OmegaConf.create({"num_classes": 19}, flags={"allow_objects": True})
    cfg.model = LazyCall(describe)(width=4, double="${.width}", classes="${..num_classes}")
    cfg.num_classes = 16
    cfg.model.width = 5
    assert instantiate(cfg.model) == {"width": 5, "double": 5, "classes": 16}


def test_objects_and_structured_configs_can_be_arguments():
    layer = nn.ReLU()
    cfg = LazyCall(describe)(layer=None, point=OmegaConf.structured(Point(x=3, tags=["a"])))
    cfg.layer = layer
    made = instantiate(cfg)
    assert made["layer"] is layer
    assert made["point"] == Point(3, ["a"])
    assert type(made["point"].tags) is list


def test_a_wrong_argument_raises_and_the_log_names_the_target(caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(TypeError, match="colour"):
        instantiate(LazyCall(nn.ReLU)(colour="red"))
    assert "torch.nn.modules.activation.ReLU" in caplog.text
    with caplog.at_level(logging.ERROR), pytest.raises(TypeError, match="_recursive_"):
        instantiate({"_target_": "torch.nn.ReLU", "_recursive_": False})
    assert "torch.nn.ReLU" in caplog.text


def test_targets_that_do_not_exist_or_cannot_be_called_raise():
    with pytest.raises(ImportError, match="no_such"):
        instantiate({"_target_": "torch.nn.no_such_layer"})
    with pytest.raises(AssertionError, match=r"3\.14"):
        instantiate({"_target_": "math.pi"})


# overrides


def test_overrides_follow_the_grammar_of_hydra():
    cfg = OmegaConf.create(
        {"train": {"seed": 1, "amp": {"enabled": False}}, "m": {"a": 0, "x": 2}, "items": [1, 2]}
    )
    result = LazyConfig.apply_overrides(
        cfg,
        [
            "train.seed=7",
            "train.name='two words'",
            "train.amp.enabled=true",
            "train.lr=1e-3",
            "train.none=null",
            "m={a:1,b:{c:text}}",
            "items=[4]",
            "+new.steps=[1,2]",
        ],
    )
    assert result is cfg
    train = {"seed": 7, "name": "two words", "amp": {"enabled": True}, "lr": 0.001, "none": None}
    assert OmegaConf.to_container(cfg) == {
        "train": train,
        "m": {"a": 1, "b": {"c": "text"}, "x": 2},  # merged
        "items": [4],  # replaced
        "new": {"steps": [1, 2]},
    }


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("train.seed.deeper=1", KeyError),  # the seed is no config
        ("~train.seed", NotImplementedError),
        ("train.seed", Exception),
    ],
)
def test_overrides_that_make_no_sense_fail(override, error):
    cfg = OmegaConf.create({"train": {"seed": 1}})
    with pytest.raises(error, match=r"train\.seed|delet"):
        LazyConfig.apply_overrides(cfg, [override])
    assert cfg == {"train": {"seed": 1}}


# saving


def test_a_saved_config_loads_back_with_paths_for_targets(write, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # not needed for this
    cfg = LazyConfig.load(write("base.py", BASE))
    cfg.classes = 19
    cfg.head = LazyCall(nn.Conv2d)(in_channels=8, out_channels="${..classes}", kernel_size=1)
    cfg.functions = [nn.functional.relu, nn.ReLU]
    saved = str(tmp_path / "config.yaml")
    LazyConfig.save(cfg, saved)
    assert cfg.conv._target_ is nn.Conv2d
    assert "head: {_target_: torch.nn.Conv2d, in_channels: 8" in Path(saved).read_text()
    loaded = LazyConfig.load(saved)
    loaded.classes = 16
    assert instantiate(loaded.head).weight.shape == (16, 8, 1, 1)
    assert list(loaded.functions) == [nn.functional.relu, nn.ReLU]
    assert LazyConfig.load(saved, "train").nested.deep == "text"
    assert not (tmp_path / "config.yaml.pkl").exists()


def test_a_config_with_a_lambda_is_saved_for_reading_and_pickled(tmp_path, caplog):
    cloudpickle = pytest.importorskip("cloudpickle")
    cfg = OmegaConf.create({"a": 1}, flags={"allow_objects": True})
    cfg.function = lambda x: x + 1
    saved = tmp_path / "config.yaml"
    with caplog.at_level(logging.WARNING):
        LazyConfig.save(cfg, str(saved))
    assert "cannot be loaded" in caplog.text
    assert "a: 1" in saved.read_text()
    with open(f"{saved}.pkl", "rb") as file:
        assert cloudpickle.load(file).function(1) == 2


def test_to_py_gives_assignments_and_calls():
    cfg = OmegaConf.create(
        {"train": {"seed": 1, "name": "a'b", "options": {"x": [1, None]}}, "classes": 3},
        flags={"allow_objects": True},
    )
    cfg.model = LazyCall(nn.Conv2d)(
        in_channels="${..classes}", options={"b": 2, "a": LazyCall(nn.ReLU)(inplace=True)}
    )
    expected = """
cfg.classes = 3
cfg.model = torch.nn.Conv2d(
    in_channels=3, options={"a": torch.nn.ReLU(inplace=True), "b": 2}
)
cfg.train.name = "a'b"
cfg.train.options.x = [1, None]
cfg.train.seed = 1
"""
    assert ast.dump(ast.parse(LazyConfig.to_py(cfg))) == ast.dump(ast.parse(expected))
    assert LazyConfig.to_py(cfg, prefix="config.").count("config.") == 5


def test_a_config_beside_the_file_that_calls_is_loaded(tmp_path):
    (tmp_path / "part 1.py").write_text("part = dict(a=1)\nother = dict(b=2)\n")
    (tmp_path / "whole.py").write_text(
        "from detectron2.config import LazyConfig\n"
        "cfg = LazyConfig.load_rel('./part 1.py', 'part')\n"
        "both = LazyConfig.load_rel('part 1.py', ('part', 'other'))[1]\n"
    )
    found = LazyConfig.load(str(tmp_path / "whole.py"))
    assert (found.cfg.a, found.both.b) == (1, 2)
