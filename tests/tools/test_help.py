"""`--help` answers before anything slow is imported, and names what the packages offer."""

import contextlib
import io
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from langdg_d2.export import FORMATS, RESULTS
from langdg_d2.utils import amp
from langdg_d2.utils.arguments import PRECISIONS, VIEWS
from langdg_d2.visualization.prediction import _VIEWS

ROOT = Path(__file__).parents[2]
COMMANDS = [
    *(path for path in (ROOT / "tools").glob("[a-z]*.py")),
    *(ROOT / "projects/app/app.py", ROOT / "projects/famix/import_famix.py"),
]
# Runs commands in one process that has imported nothing, and prints what they import.
ASK = """
import contextlib, io, json, runpy, sys

imported = {}
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    sys.path[0] = path.rpartition("/")[0]
    text = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        runpy.run_path(path, run_name="__main__")
    assert text.getvalue().startswith("usage: "), path
    imported[path] = sorted({"torch", "detectron2", "cv2", "numpy"} & {*sys.modules})
print(json.dumps(imported))
"""


def test_help_imports_nothing_slow():
    command = [sys.executable, "-c", ASK, *map(str, COMMANDS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {str(path): [] for path in COMMANDS}


@pytest.mark.parametrize("name", ["train", "mine", "demo", "check"])
def test_installed_commands_are_the_files(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", [f"langdg-{name}", "--help"])
    commands = runpy.run_path(str(ROOT / "tools/__init__.py"), run_name="tools")
    with pytest.raises(SystemExit, match="0"):
        commands[name]()
    files = {"train": "train_net", "mine": "mine_styles", "demo": "demo", "check": "check_dataset"}
    assert capsys.readouterr().out.startswith(f"usage: {files[name]}.py ")


def test_choices_of_options_are_those_of_the_packages(load_tool):
    assert tuple(_VIEWS) == VIEWS
    assert ("auto", *amp.PRECISIONS) == PRECISIONS
    tool = load_tool("benchmark")
    assert (tuple(tool.FASTER), tuple(tool.WORKLOADS)) == (tool.FASTER_PATHS, tool.WORKLOAD_NAMES)
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as text:
        load_tool("export_model").parse(["--help"])
    for names in (FORMATS, RESULTS):
        assert f"{{{','.join(names)}}}" in text.getvalue()
