"""Two runs side by side, as users compare them."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from langdg_d2.evaluation import BenchmarkRun, write_benchmark


@pytest.fixture
def compare(load_tool: Callable[[str], ModuleType], tmp_path: Path, capsys) -> Callable[..., str]:
    """Function that writes two records, the second with changes, and prints their comparison."""
    tool = load_tool("compare_runs")
    config = {"train": {"max_iter": 9, "seed": 1}, "styles": {"grid": {"rows": 3}}}
    facts = {
        "protocol": "full",
        "source": "gta5",
        "config": config,
        "trained": {"train.max_iter": 9, "train.seed": 1},
        "images": {"fog": "4 images, 12ab"},
        "styles": {"source": "gta5", "number_of_styles": 8},
    }

    def record(name: str, score: float, pixels: int, **changes: Any) -> Path:
        scores = {"fog": {"sem_seg": {"mIoU": score, "pixel_accuracy": 80.0}}}
        details = {"fog": {"classes": ["a", "b"], "confusion": [[pixels, 0], [5, 5]]}}
        write_benchmark(scores, BenchmarkRun(**facts | changes), tmp_path / name, details=details)
        return tmp_path / name

    def run(*, machine: str = "", pixels: int = 10, **changes: Any) -> str:
        one, other = record("a", 40.0, 10), record("b", 42.5, pixels, **changes)
        if machine:
            path = other / "benchmark.json"
            changed = json.loads(path.read_text())
            changed["environment"]["processor"] = machine
            path.write_text(json.dumps(changed))
        tool.main([str(one), str(other)])
        return capsys.readouterr().out

    return run


def cells(text: str) -> list[list[str]]:
    """Rows of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_figures_and_their_differences_are_side_by_side(compare):
    text = compare()
    assert ["fog", "mIoU (authors)", "40.00", "42.50", "+2.50"] in cells(text)
    assert ["fog", "pixel accuracy", "80.00", "80.00", "+0.00"] in cells(text)
    assert "in both: scoring, training, config, data, styles, versions, machine." in text


def test_every_cause_is_listed_in_its_section(compare):
    config = {"train": {"max_iter": 7, "seed": 2}, "styles": {"grid": {"rows": 1}}}
    text = compare(
        machine="Abacus",
        pixels=11,
        protocol="famix",
        config=config,
        trained={"train.max_iter": 7, "train.seed": 2},
        images={"fog": "4 images, 34cd"},
        styles={"source": "gta5", "number_of_styles": 6},
    )
    rows = {(row[0], row[1]): row[2:] for row in cells(text)}
    assert rows["scoring", "protocol"] == ["full", "famix"]
    assert rows["training", "train.max_iter"] == ["9", "7"]
    assert rows["config", "styles.grid.rows"] == ["3", "1"]
    assert rows["data", "images.fog"] == ["4 images, 12ab", "4 images, 34cd"]
    assert [x.partition(",")[0] for x in rows["data", "label pixels.fog"]] == ["20", "21"]
    assert rows["styles", "number_of_styles"] == ["8", "6"]
    assert rows["machine", "processor"][1] == "Abacus"
    assert text.endswith("The same in both: versions.\n")


def test_equal_sums_of_pixels_differ_in_their_checksum(load_tool):
    tool = load_tool("compare_runs")
    one, other = ({"label_pixels": {"fog": counts}} for counts in ([10, 5], [5, 10]))
    first, second = tool.differing(tool.data(one), tool.data(other))["label pixels.fog"]
    assert first.startswith("15, checksum ")
    assert second.startswith("15, checksum ")


def test_unknown_training_is_one_row(compare):
    rows = cells(compare(trained={}))
    assert [row for row in rows if row[0] == "training"] == [
        ["training", "settings", "recorded", "-"]
    ]
