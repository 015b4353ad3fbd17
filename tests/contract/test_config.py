"""Config files, lazy calls and instantiation, on whichever Detectron2 is installed."""

import ast
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
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

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below a fresh folder and return its path."""

    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def _propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log reach pytest even if another test has called setup_logger."""
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)


@dataclass
class Point:
    """A dataclass to be described and made."""

    x: int = 0
    tags: list[str] = field(default_factory=list)


def describe(**kwargs: Any) -> dict[str, Any]:
    """A target that returns its arguments."""
    return kwargs


# loading


def test_load_returns_public_configs_and_dicts_only(write: Write) -> None:
    cfg = LazyConfig.load(write("base.py", BASE))
    assert isinstance(cfg, DictConfig)
    assert sorted(cfg) == ["conv", "train"]
    assert cfg.train.steps == [10, 20]
    assert cfg.train.nested.deep == "text"


def test_load_with_a_key_returns_its_value_and_with_keys_a_tuple(write: Write) -> None:
    path = write("base.py", BASE)
    assert LazyConfig.load(path, "train").seed == 1
    assert LazyConfig.load(path, "number") == 5
    train, hidden = LazyConfig.load(path, ("train", "_hidden"))
    assert isinstance(hidden, DictConfig)
    assert (train.seed, hidden.a) == (1, 1)
    with pytest.raises(KeyError, match="absent"):
        LazyConfig.load(path, "absent")


def test_relative_imports_find_files_in_folders_that_are_no_packages(write: Write) -> None:
    write("common/parts/base.py", BASE)
    write("common/train.py", "from .parts.base import train, number\ntrain.seed = number\n")
    leaf = write(
        "recipes/leaf.py",
        "from ..common.train import train\nimport os.path\nfrom torch import nn as layers\n"
        "train.separator, train.steps[0] = os.path.sep, 11\n",
    )
    cfg = LazyConfig.load(leaf)
    assert sorted(cfg) == ["train"]
    assert (cfg.train.seed, cfg.train.separator, list(cfg.train.steps)) == (5, "/", [11, 20])


def test_imported_dicts_are_configs_that_can_be_edited_by_attribute(write: Write) -> None:
    write("base.py", BASE)
    leaf = write(
        "leaf.py", "from .base import train\nkind = dict(name=type(train).__name__)\ntrain.x = 3\n"
    )
    cfg = LazyConfig.load(leaf)
    assert cfg.kind.name == "DictConfig"
    assert cfg.train.x == 3


def test_edits_of_an_imported_config_stay_in_the_file_that_made_them(write: Write) -> None:
    write("base.py", BASE)
    write("editor.py", "from .base import train\ntrain.seed = 2\n")
    leaf = write(
        "leaf.py",
        "from .editor import train as edited\nfrom .base import train\nedited.steps.append(30)\n",
    )
    cfg = LazyConfig.load(leaf)
    assert (cfg.edited.seed, cfg.train.seed) == (2, 1)
    assert (list(cfg.edited.steps), list(cfg.train.steps)) == ([10, 20, 30], [10, 20])
    assert list(LazyConfig.load(leaf).edited.steps) == [10, 20, 30]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("from .folder import x", "folder"),
        ("from . import x", "[Rr]elative import"),
        ("from .absent import x", r"absent\.py"),
        ("from ..nowhere.absent import x", r"absent\.py"),
    ],
)
def test_relative_imports_of_what_is_no_config_file_fail(
    write: Write, statement: str, complaint: str
) -> None:
    write("folder/file.py", "x = {}")
    leaf = write("leaf.py", statement)
    with pytest.raises(ImportError, match=complaint):
        LazyConfig.load(leaf)


def test_importing_a_name_that_the_file_lacks_fails(write: Write) -> None:
    write("base.py", BASE)
    with pytest.raises((ImportError, KeyError), match="absent"):
        LazyConfig.load(write("leaf.py", "from .base import absent"))


def test_a_syntax_error_names_the_config_file_it_is_in(write: Write) -> None:
    broken = write("broken.py", "train = dict(")
    with pytest.raises(SyntaxError, match=r"broken\.py has"):
        LazyConfig.load(broken)
    with pytest.raises(SyntaxError, match=r"broken\.py has"):
        LazyConfig.load(write("leaf.py", "from .broken import train"))


def test_other_file_extensions_are_refused(write: Write) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        LazyConfig.load(write("config.json", "{}"))


def test_load_rel_starts_at_the_file_that_calls_it(write: Write) -> None:
    write("with-dash/base.py", BASE)
    leaf = write(
        "sub/leaf.py",
        "from detectron2.config import LazyConfig\n"
        "train = LazyConfig.load_rel('../with-dash/base.py', 'train')\n",
    )
    assert LazyConfig.load(leaf).train.seed == 1


def test_ordinary_relative_imports_work_after_a_config_was_loaded(write: Write) -> None:
    LazyConfig.load(write("base.py", BASE))
    namespace: dict[str, Any] = {"__name__": "json.probe", "__package__": "json"}
    exec("from .decoder import JSONDecoder", namespace)
    assert namespace["JSONDecoder"].__module__ == "json.decoder"


# lazy calls


def test_lazy_call_describes_the_call_and_can_be_edited() -> None:
    cfg = LazyCall(nn.Conv2d)(in_channels=3, out_channels=8, kernel_size=1)
    assert isinstance(cfg, DictConfig)
    assert cfg._target_ is nn.Conv2d
    cfg.out_channels = 16
    conv = instantiate(cfg)
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.shape == (16, 3, 1, 1)


def test_lazy_call_refuses_what_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="3"):
        LazyCall(3)


def test_lazy_call_of_a_dataclass_keeps_its_path() -> None:
    cfg = LazyCall(ShapeSpec)(channels=3)
    assert cfg._target_ == "detectron2.layers.ShapeSpec"
    assert instantiate(cfg) == ShapeSpec(channels=3)


# instantiation


def test_arguments_are_instantiated_before_the_call() -> None:
    cfg = LazyCall(describe)(value=LazyCall(describe)(one=1), items=[LazyCall(describe)(two=2), 3])
    made = instantiate(cfg)
    assert made["value"] == {"one": 1}
    assert made["items"][0] == {"two": 2}
    assert made["items"][1] == 3


def test_lists_keep_their_kind() -> None:
    plain = instantiate([LazyCall(describe)(one=1), 2])
    assert type(plain) is list
    assert plain == [{"one": 1}, 2]
    config = instantiate(OmegaConf.create([1, 2]))
    assert isinstance(config, ListConfig)
    argument = instantiate(LazyCall(describe)(items=[LazyCall(nn.ReLU)(), None]))["items"]
    assert isinstance(argument, ListConfig)
    assert isinstance(argument[0], nn.ReLU)
    assert argument[1] is None


@pytest.mark.parametrize("value", [None, 3, "text", (1, 2), {"a": {"_target_": "dict"}}])
def test_what_describes_no_call_is_returned_as_it_is(value: Any) -> None:
    assert instantiate(value) is value


def test_calls_inside_a_config_without_target_are_not_made() -> None:
    cfg = OmegaConf.create({"inner": {"_target_": "torch.nn.ReLU"}})
    assert instantiate(cfg) is cfg
    inner = instantiate(LazyCall(describe)(options=cfg))["options"]
    assert isinstance(inner, DictConfig)
    assert inner.inner._target_ == "torch.nn.ReLU"


def test_a_target_may_be_a_path_or_the_description_of_a_callable() -> None:
    by_path = instantiate(
        {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 3}
    )
    assert by_path.weight.shape == (2, 1, 3, 3)
    assert isinstance(
        instantiate(
            {"_target_": "torch.optim.sgd.SGD", "params": [by_path.weight], "lr": 1.0}
        ).defaults,
        dict,
    )
    maker = LazyCall(LazyCall(describe_maker)(extra=1))(value=2)
    assert instantiate(maker) == {"extra": 1, "value": 2}


def describe_maker(extra: int) -> Callable[..., dict[str, Any]]:
    """A function that returns a callable."""
    return lambda **kwargs: describe(extra=extra, **kwargs)


def test_interpolations_are_resolved_relative_to_their_place() -> None:
    cfg = OmegaConf.create({"num_classes": 19}, flags={"allow_objects": True})
    cfg.model = LazyCall(describe)(width=4, double="${.width}", classes="${..num_classes}")
    cfg.num_classes = 16
    cfg.model.width = 5
    assert instantiate(cfg.model) == {"width": 5, "double": 5, "classes": 16}


def test_objects_can_be_arguments() -> None:
    layer = nn.ReLU()
    cfg = LazyCall(describe)(layer=None)
    cfg.layer = layer
    assert instantiate(cfg)["layer"] is layer


def test_a_structured_config_becomes_its_dataclass() -> None:
    cfg = OmegaConf.structured(Point(x=3, tags=["a"]))
    made = instantiate(LazyCall(describe)(point=cfg))["point"]
    assert made == Point(3, ["a"])
    assert type(made.tags) is list


def test_a_wrong_argument_raises_and_the_log_names_the_target(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(TypeError, match="colour"):
        instantiate(LazyCall(nn.ReLU)(colour="red"))
    assert "torch.nn.modules.activation.ReLU" in caplog.text
    with caplog.at_level(logging.ERROR), pytest.raises(TypeError, match="_recursive_"):
        instantiate({"_target_": "torch.nn.ReLU", "_recursive_": False})
    assert "torch.nn.ReLU" in caplog.text


def test_targets_that_do_not_exist_or_cannot_be_called_raise() -> None:
    with pytest.raises(ImportError, match="no_such"):
        instantiate({"_target_": "torch.nn.no_such_layer"})
    with pytest.raises(AssertionError, match=r"3\.14"):
        instantiate({"_target_": "math.pi"})


# overrides


def test_overrides_follow_the_grammar_of_hydra() -> None:
    cfg = OmegaConf.create({"train": {"seed": 1, "name": "a", "amp": {"enabled": False}}, "m": {}})
    result = LazyConfig.apply_overrides(
        cfg,
        [
            "train.seed=7",
            "train.name='two words'",
            "train.amp.enabled=true",
            "train.lr=1e-3",
            "train.steps=[1,2]",
            "m={a:1,b:{c:text}}",
            "train.none=null",
        ],
    )
    assert result is cfg
    assert OmegaConf.to_container(cfg) == {
        "train": {
            "seed": 7,
            "name": "two words",
            "amp": {"enabled": True},
            "lr": 0.001,
            "steps": [1, 2],
            "none": None,
        },
        "m": {"a": 1, "b": {"c": "text"}},
    }


def test_an_override_of_an_unknown_key_adds_it_so_that_the_call_fails_on_it() -> None:
    cfg = OmegaConf.create({"relu": LazyCall(nn.ReLU)()}, flags={"allow_objects": True})
    LazyConfig.apply_overrides(cfg, ["relu.colour=red", "+new.deep=1"])
    assert cfg.new.deep == 1
    with pytest.raises(TypeError, match="colour"):
        instantiate(cfg.relu)


def test_an_override_merges_dicts_and_replaces_lists() -> None:
    cfg = OmegaConf.create({"a": {"x": 1, "y": 2}, "items": [1, 2, 3]})
    LazyConfig.apply_overrides(cfg, ["a={y:3}", "items=[4]"])
    assert OmegaConf.to_container(cfg) == {"a": {"x": 1, "y": 3}, "items": [4]}


def test_an_override_through_a_value_that_is_no_config_fails() -> None:
    cfg = OmegaConf.create({"train": {"seed": 1}})
    with pytest.raises(KeyError, match=r"train\.seed"):
        LazyConfig.apply_overrides(cfg, ["train.seed.deeper=1"])


def test_deletions_and_broken_overrides_fail() -> None:
    cfg = OmegaConf.create({"train": {"seed": 1}})
    with pytest.raises(NotImplementedError):
        LazyConfig.apply_overrides(cfg, ["~train.seed"])
    with pytest.raises(Exception, match=r"train\.seed"):
        LazyConfig.apply_overrides(cfg, ["train.seed"])


# saving


def test_a_saved_config_loads_back_with_paths_for_targets(write: Write, tmp_path: Path) -> None:
    cfg = LazyConfig.load(write("base.py", BASE))
    cfg.classes = 19
    cfg.head = LazyCall(nn.Conv2d)(in_channels=8, out_channels="${..classes}", kernel_size=1)
    saved = str(tmp_path / "config.yaml")
    LazyConfig.save(cfg, saved)
    assert cfg.conv._target_ is nn.Conv2d
    text = yaml.safe_load(Path(saved).read_text())
    assert text["head"] == {
        "_target_": "torch.nn.Conv2d",
        "in_channels": 8,
        "kernel_size": 1,
        "out_channels": "${..classes}",
    }
    loaded = LazyConfig.load(saved)
    loaded.classes = 16
    assert instantiate(loaded.head).weight.shape == (16, 8, 1, 1)
    assert LazyConfig.load(saved, "train").nested.deep == "text"
    assert not (tmp_path / "config.yaml.pkl").exists()


def test_a_config_with_a_lambda_is_saved_for_reading_and_pickled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    cfg = OmegaConf.create({"a": 1}, flags={"allow_objects": True})
    cfg.function = lambda x: x + 1
    saved = tmp_path / "config.yaml"
    with caplog.at_level(logging.WARNING):
        LazyConfig.save(cfg, str(saved))
    assert "cannot be loaded" in caplog.text or "not loaded" in caplog.text
    assert "a: 1" in saved.read_text()
    with open(f"{saved}.pkl", "rb") as file:
        assert cloudpickle.load(file).function(1) == 2


def test_functions_and_classes_of_libraries_survive_saving(tmp_path: Path) -> None:
    cfg = OmegaConf.create({}, flags={"allow_objects": True})
    cfg.function = nn.functional.relu
    cfg.kind = nn.ReLU
    saved = str(tmp_path / "config.yaml")
    LazyConfig.save(cfg, saved)
    loaded = LazyConfig.load(saved)
    assert loaded.kind is nn.ReLU
    assert loaded.function is nn.functional.relu


def test_to_py_gives_assignments_and_calls() -> None:
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
