"""The summary of several runs as users make it."""

import csv
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from langdg_d2.evaluation import BenchmarkRun, write_benchmark

TOOL = Path(__file__).parents[2] / "tools/summarize_runs.py"


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Output folders of two runs."""
    folders = [tmp_path / f"seed{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        results = {"cityscapes": {"sem_seg": {"mIoU": 40.0 + seed, "IoU-road": 90.0}}}
        run = BenchmarkRun(protocol="full", source="gta5", seed=seed)
        write_benchmark(results, run, folder)
    return [str(folder) for folder in folders]


@pytest.fixture
def run_tool(monkeypatch, capsys) -> Callable[..., str]:
    """Function that runs the tool in this process; returns what it printed, or what it refused."""

    def run(*arguments: str, expect: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
        if expect == 0:
            runpy.run_path(str(TOOL), run_name="__main__")
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(TOOL), run_name="__main__")
        message = caught.value.code  # for a text, Python prints it and exits with 1
        if isinstance(message, str):
            assert expect == 1
            return message
        assert message == expect
        return capsys.readouterr().err

    return run


def test_markdown_is_printed_or_written_with_a_csv_beside_it(run_tool, runs, tmp_path) -> None:
    printed = run_tool(*runs)
    assert "41.50 ± 0.71" in printed
    assert run_tool(*runs, "--output", str(tmp_path / "new/seeds.md")) == ""
    assert (tmp_path / "new/seeds.md").read_text() == printed
    line, _ = csv.DictReader((tmp_path / "new/seeds.csv").read_text().splitlines())
    assert (line["domain"], line["mIoU"], line["runs"]) == ("cityscapes", "41.5", "2")


def test_mistakes_are_told_in_a_line(run_tool, runs, tmp_path) -> None:
    missing = run_tool(runs[0], str(tmp_path / "seed3"), expect=1)
    assert "error: cannot read" in missing
    assert len(missing.splitlines()) == 1
    assert "seed3" in missing
    assert "given twice" in run_tool(runs[0], runs[0], expect=2)
    assert "ends in .md" in run_tool(*runs, "--output", str(tmp_path / "seeds.txt"), expect=2)
