"""Mining as users run it: killed and taken up again, it gives the bank of one unbroken process."""

import multiprocessing
import runpy
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from detectron2.engine import default_argument_parser

from langdg_d2.styles import StyleBank

TOOL = Path(__file__).parents[2] / "tools/mine_styles.py"


@pytest.fixture
def options(datasets, tiny_clip, tmp_path, monkeypatch):
    """Function that gives the tool's options to mine into a folder with a tiny CLIP."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def build(name: str, processes: int) -> list[str]:
        return [
            *("--config-file", str(TOOL.parents[1] / "configs/langdg_gta5.py")),
            *("--num-gpus", str(processes), "--dist-url", "auto", "train.device=cpu"),
            f"train.output_dir={tmp_path / name}",
            f"model.backbone.tower.name={tiny_clip}",
            "model.backbone.tower.weights=null",
            "dataloader.crop_size=[40,60]",
            "styles.mining.batches.batch_size=1",
            "styles.mining.num_workers=0",
            "styles.mining.checkpoint_period=1",
            "styles.mining.miner.pin.steps=50",
        ]

    return build


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As the processes have; sums in another order would differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def main(args: Namespace) -> None:
    """The tool's, for processes that are not started by its file."""
    runpy.run_path(str(TOOL))["main"](args)


def kill_when(part: Path, mining: Future) -> None:
    """Kill all processes of the tool as soon as there is unfinished work."""
    deadline = time.monotonic() + 120
    while not part.exists():
        assert not mining.done(), mining.result()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(SystemExit, match="killed by SIGKILL"):
        mining.result()


@pytest.mark.usefixtures("_one_thread")
def test_killed_mining_of_two_processes_resumes_to_the_same_bank_tensor_for_tensor(
    options, in_two_processes, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *options("whole", processes=0)])
    runpy.run_path(str(TOOL), run_name="__main__")
    whole = StyleBank.load(tmp_path / "whole/style_bank.safetensors")

    bank = tmp_path / "killed/style_bank.safetensors"
    killed = vars(default_argument_parser().parse_args(options("killed", processes=2)))
    with ThreadPoolExecutor() as pool:
        mining = pool.submit(in_two_processes, main, **killed)
        kill_when(bank.with_name(f"{bank.name}.part1"), mining)
    assert not bank.exists()

    in_two_processes(main, **killed)
    log = (bank.parent / "log.txt").read_text()
    assert "batches are already mined" in log
    assert "| total " in log
    resumed = StyleBank.load(bank)
    for name in ("mean", "std", "class_id", "cosine_before", "cosine_after"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name)), name
    assert resumed.prompts == whole.prompts
    assert resumed.header == whole.header
    assert not list(bank.parent.glob("*.part*"))
