"""Mining as users run it: killed and taken up again, it gives the bank of an unbroken run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from langdg_d2.styles import StyleBank

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(datasets, tiny_clip, tmp_path):
    """Function that starts the tool on a tiny CLIP and returns the process."""

    def start_tool(name: str) -> subprocess.Popen:
        command = [
            sys.executable,
            str(ROOT / "tools/mine_styles.py"),
            *("--config-file", str(ROOT / "configs/langdg_gta5.py"), "--num-gpus", "0"),
            f"train.output_dir={tmp_path / name}",
            f"model.backbone.tower.name={tiny_clip}",
            "model.backbone.tower.weights=null",
            "dataloader.crop_size=[40,60]",
            "styles.mining.batches.batch_size=1",
            "styles.mining.num_workers=0",
            "styles.mining.checkpoint_period=1",
        ]
        environment = os.environ | {"DETECTRON2_DATASETS": str(datasets), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return start_tool


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_killed_mining_resumes_to_the_same_bank_tensor_for_tensor(start, tmp_path):
    output = finish(start("whole"))
    whole = StyleBank.load(tmp_path / "whole/style_bank.safetensors")
    assert "| total " in output

    process = start("killed")
    part = tmp_path / "killed/style_bank.safetensors.part0"
    deadline = time.monotonic() + 120
    while not part.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed/style_bank.safetensors").exists()

    assert "batches are mined already" in finish(start("killed"))
    resumed = StyleBank.load(tmp_path / "killed/style_bank.safetensors")
    for name in ("mean", "std", "class_id", "cosine_before", "cosine_after"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name)), name
    assert resumed.prompts == whole.prompts
    assert resumed.header == whole.header
    assert not part.exists()
