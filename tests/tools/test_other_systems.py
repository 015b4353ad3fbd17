"""Commands on terminals of few characters, and without what only Unix has."""

import io
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What Windows lacks or does otherwise, taken from a process before it imports anything of ours.
WINDOWS = """
import os, platform, runpy, signal, sys

def refuse(*_, **__):
    raise PermissionError("not on Windows")

for name in ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP", "sigwaitinfo", "pthread_sigmask"):
    delattr(signal, name)
os_open = os.open
os.open = lambda path, *how: refuse() if os.path.isdir(path) else os_open(path, *how)
os.kill = os.fork = refuse
del os.getuid
platform.libc_ver = lambda *_: ("", "")
sys.modules["resource"] = None
import filelock
filelock.FileLock = filelock.SoftFileLock  # Unix's uses what is taken away
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def test_a_run_needs_nothing_that_windows_lacks(datasets, tiny_model, tmp_path):
    result = run(
        *("-c", WINDOWS, ROOT / "tools/train_net.py", "--num-gpus", "0", "--config-file"),
        ROOT / "projects/famix/configs/ablations/noise_styles.py",
        f"train.output_dir={tmp_path / 'out'}",
        *("model.backbone.tower.weights=null", "dataloader.train.total_batch_size=2"),
        *("dataloader.train.num_workers=0", "dataloader.crop_size=[32,48]", "train.max_iter=1"),
        *("evaluation.domains=[acdc_fog]", "evaluation.protocol=full", *tiny_model),
        "dataloader.test.acdc_fog.num_workers=0",
        DETECTRON2_DATASETS=str(datasets),
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out/benchmark.json").is_file()


def test_no_command_begins_with_a_warning():
    result = run(ROOT / "tools/train_net.py")  # imports everything
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: there is no config file ''")
    assert result.stderr.count("\n") == 1


def test_what_a_terminal_lacks_is_printed_as_escapes(load_tool, monkeypatch):
    tool, terminal = load_tool("describe_datasets"), io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    tool.main([])
    monkeypatch.setattr(tool, "describe", lambda: "stra\udcdfe")
    tool.main([])
    terminal.flush()
    text = terminal.buffer.getvalue().decode("ascii")
    assert "\\u2013" in text
    assert text.endswith("stra\\udcdfe")
