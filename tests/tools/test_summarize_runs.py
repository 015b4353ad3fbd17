"""The summary of several runs as users make it."""

import csv
import subprocess
import sys
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


def run_tool(*arguments: str, expect: int = 0) -> str:
    command = [sys.executable, str(TOOL), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == expect, result.stderr
    return result.stdout if expect == 0 else result.stderr


def test_markdown_is_printed_or_written_with_a_csv_beside_it(runs, tmp_path) -> None:
    printed = run_tool(*runs)
    assert "41.50 ± 0.71" in printed
    assert run_tool(*runs, "--output", str(tmp_path / "new/seeds.md")) == ""
    assert (tmp_path / "new/seeds.md").read_text() == printed
    (line,) = csv.DictReader((tmp_path / "new/seeds.csv").read_text().splitlines())
    assert (line["domain"], line["mIoU"], line["runs"]) == ("cityscapes", "41.5", "2")


def test_mistakes_are_told_without_a_traceback(runs, tmp_path) -> None:
    missing = run_tool(runs[0], str(tmp_path / "seed3"), expect=1)
    assert "error: cannot read" in missing
    assert "Traceback" not in missing
    assert "seed3" in missing
    assert "given twice" in run_tool(runs[0], runs[0], expect=2)
    assert "ends in .md" in run_tool(*runs, "--output", str(tmp_path / "seeds.txt"), expect=2)
