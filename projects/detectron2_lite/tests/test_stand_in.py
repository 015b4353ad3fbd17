"""What only the stand-in does: its version, and its answer to names it lacks."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import detectron2
import pytest
import setuptools

PROJECT = Path(__file__).parents[1]
GUIDE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"

pytestmark = pytest.mark.skipif(
    not detectron2.__version__.endswith("+lite"),
    reason="detectron2 is the real one here, which lacks nothing",
)


def modules() -> list[str]:
    """The names of all modules in the package."""
    return [found.name for found in pkgutil.walk_packages(detectron2.__path__, "detectron2.")]


# what it is


def test_version_names_the_stand_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments: dict[str, object] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: arguments.update(given))
    monkeypatch.chdir(PROJECT)
    runpy.run_path(str(PROJECT / "setup.py"))
    assert detectron2.__version__ == "0.6+lite"
    assert arguments["version"] == "0.6+lite"
    assert arguments["name"] == "detectron2"
    monkeypatch.undo()
    packages = {name for name in modules() if hasattr(importlib.import_module(name), "__path__")}
    assert set(arguments["packages"]) == {"detectron2", *packages}


def test_every_module_can_be_imported_and_exports_what_it_says() -> None:
    names = modules()
    assert len(names) > 30
    for name in names:
        module = importlib.import_module(name)
        assert [
            entry for entry in getattr(module, "__all__", []) if entry not in vars(module)
        ] == []


def test_every_library_it_imports_is_required_at_installation() -> None:
    distributions = {
        "PIL": "Pillow",
        "cv2": "opencv-python",
        "hydra": "hydra-core",
        "yaml": "pyyaml",
    }
    optional = {"black", "cloudpickle"}
    setup = (PROJECT / "setup.py").read_text()
    for file in (PROJECT / "detectron2").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module or ""]
            else:
                continue
            for top in {name.partition(".")[0] for name in imported} - optional - {"detectron2"}:
                if top not in sys.stdlib_module_names:
                    assert f'"{distributions.get(top, top)}' in setup, f"{top} in {file.name}"


# what it lacks


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("import detectron2.model_zoo", "detectron2.model_zoo"),
        ("import detectron2.export.flatten", "detectron2.export"),
        ("from detectron2 import model_zoo", "detectron2.model_zoo"),
        ("from detectron2.export import TracingAdapter", "detectron2.export"),
        ("from detectron2.modeling import GeneralizedRCNN", "detectron2.modeling.GeneralizedRCNN"),
        ("from detectron2.config import get_cfg", "detectron2.config.get_cfg"),
        ("from detectron2.engine.defaults import DefaultTrainer",
         "detectron2.engine.defaults.DefaultTrainer"),
        ("import detectron2.layers as L; L.ROIAlign", "detectron2.layers.ROIAlign"),
        ("from detectron2.data import DatasetCatalog as D, Absent", "detectron2.data.Absent"),
        ("import detectron2; detectron2.structures.Boxes", "detectron2.structures.Boxes"),
        ("from detectron2.utils.visualizer import GenericMask",
         "detectron2.utils.visualizer.GenericMask"),
    ],
)  # fmt: skip
def test_missing_names_are_refused_with_a_remedy(statement: str, asked: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(statement, {})
    message = str(caught.value)
    assert message.startswith(f"{asked} is not part of this detectron2 0.6+lite")
    assert "real Detectron2 provides it" in message
    assert message.endswith(GUIDE)
    assert caught.value.name == asked


def test_config_with_a_missing_name_is_refused() -> None:
    from detectron2.config import instantiate

    with pytest.raises(ImportError, match="not part of this detectron2"):
        instantiate({"_target_": "detectron2.modeling.GeneralizedRCNN"})
    with pytest.raises(ImportError, match="not part of this detectron2"):
        instantiate({"_target_": "detectron2.model_zoo.get"})


def test_what_its_data_loading_lacks_is_refused() -> None:
    from detectron2.data import MapDataset, ToIterableDataset, build_detection_train_loader
    from detectron2.data.samplers import InferenceSampler

    with pytest.raises(NotImplementedError, match="aspect_ratio_grouping"):
        build_detection_train_loader([{"width": 2}], mapper=None, total_batch_size=1)
    with pytest.raises(TypeError, match="real Detectron2"):
        MapDataset(ToIterableDataset([{}], InferenceSampler(1)), len)


def test_lambda_config_is_saved_without_cloudpickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from detectron2.config import LazyConfig
    from omegaconf import OmegaConf

    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    cfg = OmegaConf.create({"a": 1}, flags={"allow_objects": True})
    cfg.function = lambda: None
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert "a: 1" in (tmp_path / "config.yaml").read_text()
    assert "cloudpickle" in caplog.text


def test_dunder_and_private_names_raise_attribute_errors() -> None:
    from detectron2.engine import hooks

    for module in (detectron2, detectron2.engine, hooks):
        assert not hasattr(module, "__wrapped__")
        assert getattr(module, "_absent", 3) == 3
        with pytest.raises(AttributeError, match=r"has no attribute '__wrapped__'"):
            _ = module.__wrapped__


def test_modules_keep_their_source() -> None:
    from detectron2.engine import hooks

    assert inspect.getsource(hooks.EvalHook).startswith("class EvalHook(HookBase):")
    assert Path(hooks.__spec__.origin).name == "hooks.py"


# the mechanism, on a package of its own

Toy = Callable[[dict[str, str]], None]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """Write, import and equip a package ``toy`` with these files; forget it afterwards."""
    from detectron2._missing import install

    finders = list(sys.meta_path)
    monkeypatch.syspath_prepend(tmp_path)

    def make(files: dict[str, str]) -> None:
        for name, text in {"__init__.py": '__version__ = "1"', **files}.items():
            path = tmp_path / "toy" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.import_module("toy")
        install("toy")

    yield make
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


def test_a_submodule_that_exists_is_imported_not_refused(toy: Toy) -> None:
    toy({"part/__init__.py": "", "part/leaf.py": "x = 1"})
    import toy as package

    assert not hasattr(package, "part")
    exec("from toy import part", {})
    assert not hasattr(package.part, "leaf")
    exec("from toy.part import leaf", {})
    assert package.part.leaf.x == 1


def test_circular_import_fails_as_in_python(toy: Toy) -> None:
    toy({"one.py": "from toy.two import b\na = 1", "two.py": "from toy.one import a\nb = 1"})
    with pytest.raises(ImportError, match="partially initialized module"):
        importlib.import_module("toy.one")


def test_other_packages_are_left_alone(toy: Toy) -> None:
    toy({})
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'email\.absent'"):
        importlib.import_module("email.absent")
    with pytest.raises(ImportError, match=r"toy\.absent is not part of this toy 1"):
        importlib.import_module("toy.absent")


def test_module_keeps_its_own_getattr(toy: Toy) -> None:
    toy({"own.py": "def __getattr__(name):\n    return name.upper()"})
    assert importlib.import_module("toy.own").anything == "ANYTHING"


def test_a_probe_for_the_compiled_part_finds_nothing() -> None:
    assert importlib.util.find_spec("detectron2._C") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("detectron2._C")
