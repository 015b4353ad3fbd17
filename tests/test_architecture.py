"""Imports run one way, and only Detectron2's public API is used."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "langdg_d2"
# A package or module imports only those to its left.
ORDER = [
    "utils",
    "structures",
    "layers",
    "data",
    "modeling",
    "styles",
    "engine",
    "evaluation",
    "visualization",
    "export",
]
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Absolute dotted names a file imports, relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def test_every_package_has_its_place():
    found = {path.stem for path in PACKAGE.iterdir()}
    assert found - {"__init__", "__pycache__"} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_to_its_left(path):
    first = path.relative_to(PACKAGE).with_suffix("").parts[0]
    place = ORDER.index(first) if first in ORDER else len(ORDER)
    for name in imports(path):
        if name[0] == "langdg_d2" and len(name) > 1 and name[1] in ORDER:
            assert ORDER.index(name[1]) <= place, f"{path} imports {'.'.join(name)}"
        assert name[0] not in {"tools", "configs", "projects"}, f"{path} imports {name[0]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_is_documented_and_names_no_device(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            assert node.value != "cuda", f"{path}:{node.lineno} names a device"


@pytest.mark.parametrize(
    "path",
    [*MODULES, *sorted((ROOT / "tools").glob("*.py")), *sorted((ROOT / "configs").rglob("*.py"))],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_detectron2_is_used_through_public_names_only(path):
    for name in imports(path):
        if name[0] == "detectron2":
            assert not any(part.startswith("_") for part in name), f"{path}: {'.'.join(name)}"
