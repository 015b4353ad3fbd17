"""Real trainings in processes of their own, to be killed."""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "projects/famix/configs/ablations/noise_styles.py"  # needs no mining
PATIENCE = 240  # seconds
SETTINGS = [
    "model.backbone.tower.weights=null",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=0",
    "dataloader.crop_size=[32,48]",
    "evaluation.domains=[acdc_fog]",
    "evaluation.protocol=full",
    "dataloader.test.acdc_fog.num_workers=0",
    "train.device=cpu",
    "train.log_period=1",
]


class ForkedProcess:
    """A child of a process that has imported everything."""

    def __init__(self, server: subprocess.Popen[bytes], request: dict) -> None:
        self._server = server
        server.stdin.write(json.dumps(request).encode() + b"\n")
        self.pid = int(server.stdout.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, None before its end."""
        return self.wait(0)

    def wait(self, timeout: float) -> int | None:
        """Likewise, after some seconds at most."""
        if self.returncode is None and select.select([self._server.stdout], [], [], timeout)[0]:
            self.returncode = int(self._server.stdout.readline())
        return self.returncode


class Training:
    """Runs of `tools/train_net.py --resume` into one folder."""

    def __init__(self, server: subprocess.Popen[bytes], folder: Path, overrides: list[str]) -> None:
        self.folder = folder
        self._server = server
        self._log = folder.with_suffix(".out")
        self._log.touch()
        self._overrides = [*overrides, f"train.output_dir={folder}"]

    def start(self, *options: str, **request: int) -> ForkedProcess:
        """Start or resume it on one process, in a session of its own."""
        self._begin = self._log.stat().st_size
        request |= {"arguments": self._arguments("--num-gpus", "0", *options)}
        return ForkedProcess(self._server, request | {"log": str(self._log)})

    def start_two(self, *options: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start or resume it on two processes, in a session of their own."""
        self._begin = self._log.stat().st_size
        processes = () if launcher else ("--num-gpus", "2", "--dist-url", "auto")
        command = [sys.executable, *launcher, str(ROOT / "tools/train_net.py")]
        with self._log.open("a") as log:
            return subprocess.Popen(
                [*command, *self._arguments(*processes, *options)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _arguments(self, *options: str) -> list[str]:
        flags = [option for option in options if "=" not in option]
        changes = [option for option in options if "=" in option]
        return ["--config-file", str(CONFIG), "--resume", *flags, *self._overrides, *changes]

    def finish(self, process: ForkedProcess | subprocess.Popen[bytes]) -> dict[str, torch.Tensor]:
        """Let it run to its end; returns weights, statistics and momenta."""
        assert process.wait(PATIENCE) == 0, self.output
        checkpoint = torch.load(self.folder / "model_final.pth", weights_only=True)
        momenta = checkpoint["trainer"]["optimizer"]["state"]
        named = {f"momentum of {key}": kept["momentum_buffer"] for key, kept in momenta.items()}
        return checkpoint["model"] | named

    def end(self, process: ForkedProcess | subprocess.Popen[bytes], number: int) -> int:
        """Signal all its processes; returns the exit code."""
        os.killpg(process.pid, number)
        code = process.wait(PATIENCE)
        assert code is not None, self.output
        return code

    def wait_for(self, pattern: str, process: ForkedProcess | subprocess.Popen[bytes]) -> None:
        """Wait for words in the output of the latest start."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.output):
            assert process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.01)

    @property
    def output(self) -> str:
        """Of the latest start."""
        with self._log.open() as file:
            file.seek(self._begin)
            return file.read()

    @property
    def starts(self) -> list[int]:
        """Iterations that the starts began with."""
        return [int(k) for k in re.findall(r"training from iteration (\d+)", self._log.read_text())]


@pytest.fixture(scope="session")
def server(datasets: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Process that starts others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETECTRON2_DATASETS", str(datasets))
        patch.setenv("OMP_NUM_THREADS", "1")
        command = [sys.executable, str(Path(__file__).parent / "forked_runs.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, bufsize=0, **pipes) as process:
            yield process
            process.stdin.close()


@pytest.fixture
def training(
    server: subprocess.Popen[bytes], tiny_model: list[str], tmp_path: Path, datasets, monkeypatch
) -> Callable[..., Training]:
    """Function that makes a tiny training with overrides into a folder of a name."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = [*SETTINGS, *tiny_model]
    return lambda name, *more: Training(server, tmp_path / name, [*settings, *more])


@pytest.fixture(scope="session")
def children() -> Callable[[int], list[int]]:
    """Function that gives the ids of a process's children."""
    return lambda pid: [
        int(child)
        for tasks in Path(f"/proc/{pid}/task").glob("*/children")
        for child in tasks.read_text().split()
    ]


@pytest.fixture(scope="session")
def different() -> Callable[[dict, dict], list[str]]:
    """Function that names the tensors that are not the same bit by bit."""

    def names(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> list[str]:
        assert found.keys() == expected.keys()
        return [key for key in expected if not torch.equal(found[key], expected[key])]

    return names
