"""The command times the real steps, names what took the time, and writes what it finds."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d

from langdg_d2.data import dataset_mapper
from langdg_d2.engine import load_config
from langdg_d2.layers import AttentionPool, UpsampledConv2d, fold

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/langdg_gta5.py")
STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("benchmark")


@pytest.fixture
def cfg(tiny_clip, tiny_model):
    overrides = [
        *tiny_model,
        f"styles.mining.miner.clip.name={tiny_clip}",
        "train.device=cpu",
        "dataloader.crop_size=[96,96]",
        "dataloader.train.total_batch_size=2",
        "styles.mining.batches.batch_size=2",
        "styles.mining.miner.pin.steps=3",
    ]
    return load_config(CONFIG, overrides)


class Clock:
    """Time that passes only where a test lets it pass."""

    now = 0.0

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_plain_and_fast_paths_are_measured_in_one_command(tiny_model, tmp_path):
    command = [
        *(sys.executable, str(ROOT / "tools/benchmark.py"), "infer", "--config-file", CONFIG),
        *("--baseline", "--size", "64x96", "--warmup", "0", "--repeats", "2"),
        *("--output", str(tmp_path), "--opts", "train.device=cpu", *tiny_model),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == (tmp_path / "benchmark.md").read_text()
    record = json.loads((tmp_path / "benchmark.json").read_text())
    assert record["command"].startswith("python tools/benchmark.py infer --config-file")
    plain, fast = record["results"]
    assert (plain["variant"]["plain"], fast["variant"]["plain"]) == (True, False)
    for result in (plain, fast):
        assert {len(values) for values in result["seconds"].values()} == {2}
        median = sum(result["seconds"]["total"]) / 2
        assert result["rate"] == pytest.approx(1 / median)
        share = result["operations"] / median / result["peak"]
        assert result["share_of_peak"] == pytest.approx(share)
        assert result["operations"] > 0
        assert result["memory"] > sys.getsizeof(record)


def test_each_faster_path_can_be_left_out_alone(tool):
    arguments = ["train", "--config-file", "x.py", "--baseline"]
    arguments += ["--without", "folding", "upsampled_conv", "--opts", "train.seed=3"]
    found = tool.variants(tool.parse(arguments))
    assert [(v.name, v.plain, v.without) for v in found] == [
        ("plain float32", True, ()),
        ("this project", False, ()),
        ("without folding", False, ("folding",)),
        ("without upsampled_conv", False, ("upsampled_conv",)),
    ]
    assert {v.overrides for v in found} == {("train.seed=3",)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["infer", "--size", "big"], "'big' is not HEIGHTxWIDTH"),
        (["train", "--without", "sleep"], "invalid choice: 'sleep'"),
        (["train", "--repeats", "0"], "--repeats must be 1 or more"),
        (["train", "--warmup", "-1"], "--warmup 0 or more"),
    ],
)
def test_bad_arguments_are_refused(tool, arguments, words, capsys):
    with pytest.raises(SystemExit) as error:
        tool.main([*arguments, "--config-file", "x.py"])
    assert error.value.code == 2
    assert words in capsys.readouterr().err


def test_phases_are_summed_over_their_calls_and_the_total_holds_the_rest(tool, clock):
    timer = tool.PhaseTimer("cpu")
    trunk, head = timer.timed(clock.sleep, "trunk"), timer.timed(clock.sleep, "head")

    def step():
        trunk(1)
        trunk(2)
        head(4)
        clock.sleep(8)

    assert timer.run(step) == {"trunk": 3, "head": 4, "total": 15}
    assert timer.run(lambda: head(5)) == {"head": 5, "total": 5}


def test_a_watched_method_still_gives_its_result(tool, clock):
    class Layer:
        def forward(self, x, *, factor):
            clock.sleep(2)
            return x * factor

    layer, timer = Layer(), tool.PhaseTimer("cpu")
    timer.watch(layer, "forward", "layer")
    results = []
    assert timer.run(lambda: results.append(layer.forward(3, factor=5))) == {"layer": 2, "total": 2}
    assert results == [15]


def test_warmup_is_not_counted_and_a_missing_phase_took_no_time(tool, clock):
    durations = iter([100, 50, 3, 1, 2])
    timer = tool.PhaseTimer("cpu")
    data = timer.timed(clock.sleep, "data")

    def step():
        seconds = next(durations)
        (data if seconds == 1 else clock.sleep)(seconds)

    seconds = tool.measure(step, timer, warmup=2, repeats=3)
    assert seconds == {"total": [3, 1, 2], "data": [0, 1, 0]}


def test_peak_is_that_of_the_product_which_is_measured_alone(tool, monkeypatch):
    monkeypatch.setitem(tool.SIDES, "cpu", 256)
    a, b = torch.ones(2, 256, 256)
    timer = tool.Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    alone = 2 * 256**3 / timer.blocked_autorange(min_run_time=0.5).median
    assert 0.5 * alone < tool.matmul_peak("cpu", "float32") < 20 * alone


@pytest.mark.skipif(not STATUS.is_file(), reason="the system tells it elsewhere")
def test_memory_is_the_most_that_the_system_has_seen(tool):
    held = np.ones(10_000_000)
    counted = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    assert tool.peak_memory("cpu") == pytest.approx(1024 * int(counted[1]), rel=0.01)
    assert tool.peak_memory("cpu") > held.nbytes


def test_without_a_path_torch_computes_itself(tool):
    x = torch.rand(2, 6, 9, 9)
    upsampled = UpsampledConv2d(9, 4, 3, padding=1, bias=False)
    pool = AttentionPool2d(9, 6, 2, 5)
    larger = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    both = torch.cat([torch.ones(2, 3, 18, 18), larger], dim=1)
    usual = torch.nn.functional.conv2d(both, upsampled.weight, padding=1)
    with tool.without(["upsampled_conv"]):
        assert torch.equal(upsampled((both[:, :3], x)), usual)
    with tool.without(["attention_pool"]):
        assert torch.equal(AttentionPool(pool)(x), pool(x))


@torch.no_grad()
def test_without_folding_a_fold_changes_nothing(tool):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    x = torch.ones(1, 4, 2, 2)
    with tool.without(["folding"]), fold(network):
        assert not torch.equal(network[1](x), x)
    with fold(network):
        assert torch.equal(network[1](x), x)


@pytest.mark.parametrize("size", [(64, 64), (100, 150), (30, 200)])
def test_random_labels_are_squares_of_the_classes(tool, size):
    images, labels = tool.random_inputs(3, size, num_classes=5)
    assert (images.shape, labels.shape) == ((3, 3, *size), (3, *size))
    assert images.dtype == labels.dtype == torch.uint8
    assert labels.max() < 5
    for top in range(0, size[0], 64):
        for left in range(0, size[1], 64):
            square = labels[:, top : top + 64, left : left + 64]
            assert (square == square[:, :1, :1]).all()


def test_a_random_batch_is_such_as_the_loader_gives(tool, cfg):
    batch = tool.training_batch(cfg)
    assert len(batch) == 2
    for inputs in batch:
        assert inputs["image"].shape == (3, 96, 96)
        assert inputs["image"].dtype == inputs["sem_seg"].dtype == torch.uint8
        blocks = inputs["sem_seg"].unfold(0, 32, 32).unfold(1, 32, 32).flatten(2)
        assert torch.equal(inputs["patch_classes"], blocks.mode().values)


def phases(tool, cfg, name, **arguments):
    timer = tool.PhaseTimer("cpu")
    workload = tool.WORKLOADS[name](cfg, timer, **arguments)
    return workload, timer.run(workload.step)


def test_a_training_step_is_split_into_its_phases_and_trains(tool, cfg):
    timer = tool.PhaseTimer("cpu")
    workload = tool.train(cfg, timer)
    head = cfg.optimizer.params.model.sem_seg_head.predict.weight
    before = head.detach().clone()
    seconds = timer.run(workload.step)
    names = {"data", "trunk", "mixing", "head", "loss", "backward", "optimizer", "total"}
    assert seconds.keys() == names
    assert sum(seconds.values()) - seconds["total"] <= seconds["total"]
    assert not torch.equal(before, head)
    assert (workload.items, workload.unit) == (2, "images")


def test_accumulated_batches_count_as_images_of_one_step(tool, cfg):
    cfg.train.accumulate = 3
    assert phases(tool, cfg, "train")[0].items == 6


def test_without_augmentation_nothing_is_mixed(tool, cfg):
    cfg.styles.augmentation = None
    assert "mixing" not in phases(tool, cfg, "train")[1]


def test_inference_predicts_an_image_of_the_wanted_size(tool, cfg):
    workload, seconds = phases(tool, cfg, "infer", size=(64, 96))
    assert seconds.keys() == {"trunk", "head", "total"}
    assert workload.step()[0]["sem_seg"].shape[-2:] == (64, 96)


def test_mining_counts_a_step_of_every_style(tool, cfg):
    workload, _ = phases(tool, cfg, "mine")
    styles = workload.items / 3
    assert workload.unit == "style-steps"
    assert 1 < styles <= 2 * 9  # images x patches


def test_loading_is_split_into_reading_and_augmentation(tool, cfg, datasets, monkeypatch):
    for name in ("read_rgb", "read_train_ids"):
        monkeypatch.setattr(dataset_mapper, name, getattr(dataset_mapper, name))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    cfg.dataloader.crop_size = [16, 16]
    workload, seconds = phases(tool, cfg, "loader")
    assert seconds.keys() == {"image file", "label file", "augmentation", "total"}
    assert [x["image"].shape for x in workload.step()] == [(3, 16, 16)] * 2
    assert (workload.items, workload.unit) == (2, "images")


def result(tool, name, *, seconds, phases=(), **variant):
    return tool.result(
        tool.Variant(name=name, **variant),
        {"total": seconds, **dict.fromkeys(phases, [seconds[0] / 4] * len(seconds))},
        items=2,
        unit="images",
        operations=30e9,
        peak=100e9,
        memory=3_000_000_000,
        machine={"processor": "abacus", "cores": 2},
    )


def test_rates_ratios_and_shares_follow_from_seconds(tool):
    slow = result(tool, "plain", seconds=[3.0, 4.0, 5.0], plain=True, phases=["trunk"])
    fast = result(tool, "fast", seconds=[1.0, 1.0, 1.0], phases=["head"])
    text = tool.table([slow, fast], "python tools/benchmark.py infer")
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    head, _, first, second = ([cell.strip() for cell in line] for line in lines)
    assert dict(zip(head, first, strict=True)) == {
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
    assert second == ["fast", "1", "0", "-", "0.25", "2", "4", "30", "30%", "3"]
    assert "Medians of 3 steps" in text
    assert "100 GFLOP/s in the first row" in text
    assert "- command: `python tools/benchmark.py infer`" in text
    assert "- machine: processor abacus, cores 2" in text


def test_json_holds_all_that_was_measured(tool, tmp_path):
    measured = [result(tool, "fast", seconds=[1.0, 2.0], phases=["trunk"])]
    tool.write(measured, tmp_path / "new", command="x")
    (record,) = json.loads((tmp_path / "new/benchmark.json").read_text())["results"]
    assert record["variant"]["name"] == "fast"
    assert record["seconds"] == {"total": [1.0, 2.0], "trunk": [0.25, 0.25]}
    assert (record["median"], record["spread"], record["rate"]) == (1.5, 0.5, 2 / 1.5)
