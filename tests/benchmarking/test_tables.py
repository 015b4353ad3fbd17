"""Tables, JSON and curves say what was measured."""

import json

import cv2
import pytest

from langdg_d2.benchmarking.runs import Result, Variant
from langdg_d2.benchmarking.tables import draw_curves, footer, table, write
from langdg_d2.benchmarking.timing import Timings


def result(name, *, seconds, plain=False, key="", value="", phases=()):
    timings = {"total": seconds, **dict.fromkeys(phases, [seconds[0] / 4] * len(seconds))}
    return Result(
        variant=Variant(name=name, plain=plain, key=key, value=value),
        timings=Timings(timings),
        items=2,
        unit="images",
        operations=30e9,
        peak=100e9,
        memory=3_000_000_000,
        machine={"processor": "abacus", "cores": 2},
    )


def cells(text):
    """Headers to values of every row of a Markdown table."""
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    )
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_rates_ratios_and_shares_follow_from_seconds():
    slow = result("plain", seconds=[3.0, 4.0, 5.0], plain=True, phases=["trunk"])
    fast = result("fast", seconds=[1.0, 1.0, 1.0], phases=["head"])
    first, second = cells(table([slow, fast]))
    assert first == {
        "variant": "plain",
        "seconds": "4",
        "spread": "1",
        "trunk": "0.75",
        "head": "-",
        "images / s": "0.5",
        "times": "1",
        "GFLOP / s": "7.5",
        "of peak": "8%",
        "memory, GB": "3",
    }
    assert (second["images / s"], second["times"], second["of peak"]) == ("2", "4", "30%")
    assert (second["trunk"], second["head"]) == ("-", "0.25")


def test_what_was_measured_is_told():
    text = footer([result("fast", seconds=[1.0, 2.0])], "python tools/benchmark.py infer")
    assert "Medians of 2 steps" in text
    assert "100 GFLOP/s in the first row" in text
    assert "- command: `python tools/benchmark.py infer`" in text
    assert "- machine: processor abacus, cores 2" in text


def test_json_holds_all_there_is_to_know(tmp_path):
    measured = [result("fast", seconds=[1.0, 2.0])]
    write(measured, tmp_path / "new", command="x")
    record = json.loads((tmp_path / "new/benchmark.json").read_text())
    assert [Result.from_json(values) for values in record["results"]] == measured
    assert record["results"][0]["rate"] == pytest.approx(2 / 1.5)
    assert not (tmp_path / "new/curves.png").exists()


@pytest.mark.parametrize("keys", [("a.b",), ("a.b", "processes")])
def test_every_curve_has_a_row_of_pictures(tmp_path, keys):
    results = [
        result(f"{key} {value}", seconds=[value], plain=plain, key=key, value=str(value))
        for plain in (True, False)
        for key in keys
        for value in (1.0, 2.0)
    ]
    draw_curves(results, tmp_path / "curves.png")
    height, width, _ = cv2.imread(str(tmp_path / "curves.png")).shape
    assert (height, width) == (320 * len(keys), 1200)
