"""The command measures variants side by side and writes what it finds."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_plain_and_fast_paths_are_measured_in_one_command(load_tool, tiny_model, tmp_path, capsys):
    load_tool("benchmark").main(
        [
            *("infer", "--config-file", str(ROOT / "configs/langdg_gta5.py"), "--baseline"),
            *("--size", "64x96", "--warmup", "0", "--repeats", "2", "--output", str(tmp_path)),
            *("--opts", "train.device=cpu", *tiny_model),
        ]
    )
    assert capsys.readouterr().out == (tmp_path / "benchmark.md").read_text()
    record = json.loads((tmp_path / "benchmark.json").read_text())
    assert record["command"].startswith("python tools/benchmark.py infer --config-file")
    plain, fast = record["results"]
    assert (plain["variant"]["plain"], fast["variant"]["plain"]) == (True, False)
    for result in (plain, fast):
        seconds = result["timings"]["seconds"]
        assert {len(values) for values in seconds.values()} == {2}
        median = sum(seconds["total"]) / 2
        assert result["rate"] == pytest.approx(1 / median)
        share = result["operations"] / median / result["peak"]
        assert result["share_of_peak"] == pytest.approx(share)
        assert result["operations"] > 0
        assert result["memory"] > sys.getsizeof(record)


def test_every_curve_has_its_variants_plain_ones_first(load_tool):
    tool = load_tool("benchmark")
    args = tool.parse(
        [
            *("train", "--config-file", "x.py", "--baseline", "--processes", "1", "2"),
            *("--vary", "dataloader.crop_size=[64,64]", "[96,96]"),
            *("--vary", "train.accumulate=1", "2", "4"),
            *("--opts", "train.seed=3"),
        ]
    )
    found = tool.variants(args)
    assert [v.name for v in found[:7]] == [
        "plain float32, dataloader.crop_size=[64,64]",
        "plain float32, dataloader.crop_size=[96,96]",
        *(f"plain float32, train.accumulate={n}" for n in (1, 2, 4)),
        *(f"plain float32, {n} processes" for n in (1, 2)),
    ]
    assert [v.plain for v in found] == [True] * 7 + [False] * 7
    assert found[8].overrides == ("train.seed=3", "dataloader.crop_size=[96,96]")
    assert (found[8].key, found[8].value) == ("dataloader.crop_size", "[96,96]")
    assert [v.processes for v in found[7:]] == [1, 1, 1, 1, 1, 1, 2]
    assert found[13].overrides == ("train.seed=3",)


def test_each_faster_path_can_be_left_out_alone(load_tool):
    tool = load_tool("benchmark")
    arguments = ["train", "--config-file", "x.py", "--baseline"]
    found = tool.variants(tool.parse([*arguments, "--without", "folding", "upsampled_conv"]))
    assert [(v.name, v.plain, v.without) for v in found] == [
        ("plain float32", True, ()),
        ("this project", False, ()),
        ("without folding", False, ("folding",)),
        ("without upsampled_conv", False, ("upsampled_conv",)),
    ]


def test_a_single_number_of_processes_is_that_of_all(load_tool):
    tool = load_tool("benchmark")
    arguments = ["train", "--config-file", "x.py", "--processes", "2"]
    (only,) = tool.variants(tool.parse(arguments))
    assert (only.name, only.processes, only.key) == ("this project", 2, "")
    varied = tool.variants(tool.parse([*arguments, "--vary", "train.accumulate=1", "2"]))
    assert [v.processes for v in varied] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["infer", "--size", "big"], "'big' is not HEIGHTxWIDTH"),
        (["train", "--without", "sleep"], "invalid choice: 'sleep'"),
        (["train", "--processes", "0"], "--processes must be 1 or more"),
        (["train", "--vary", "train.seed"], "--vary: 'train.seed' is not KEY=VALUE"),
    ],
)
def test_bad_arguments_are_refused(load_tool, arguments, words, capsys):
    with pytest.raises(SystemExit) as error:
        load_tool("benchmark").main([*arguments, "--config-file", "x.py"])
    assert error.value.code == 2
    assert words in capsys.readouterr().err
