"""Training on one process loses nothing that it has saved, whatever happens to it."""

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.long
LONG = ["train.max_iter=700", "train.checkpointer.period=7", "train.checkpointer.max_to_keep=2"]
SHORT = ["train.max_iter=40", "train.checkpointer.period=10"]
STARTED = "Starting training from iteration"


@pytest.mark.parametrize(
    ("workers", "accumulate"), [(0, 1), (2, 2)], ids=["alone", "workers-accumulating"]
)
def test_killed_at_twenty_random_moments_it_ends_with_the_same_weights(
    training, different, workers, accumulate
):
    settings = [*LONG, f"dataloader.train.num_workers={workers}", f"train.accumulate={accumulate}"]
    unbroken = training("unbroken", *settings)
    expected = unbroken.finish(unbroken.start())
    broken = training("broken", *settings)
    rng = np.random.default_rng(workers)
    for _ in range(20):
        process = broken.start()
        broken.wait_for(STARTED, process)
        broken.wait_for(f"iter: {broken.starts[-1] + rng.integers(30)} ", process)
        time.sleep(rng.uniform(0, 0.1))  # anywhere in an iteration, or while it saves
        assert broken.end(process, signal.SIGKILL) == -signal.SIGKILL
    assert different(broken.finish(broken.start()), expected) == []
    assert len(broken.starts) == 21
    assert broken.starts[20] > 0
    print("began with iterations", broken.starts)
    assert not list(broken.folder.glob(".*.tmp"))
    assert len(list(broken.folder.glob("model_0*.pth"))) == 2


def blocks(pid, number):
    """Whether a process is past its start."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return False
    return bool(int(status.partition("SigBlk:")[2].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_all_its_processes_loses_no_iteration(training, different, number):
    settings = [*SHORT, "dataloader.train.num_workers=2"]
    unbroken = training("unbroken", *settings)
    expected = unbroken.finish(unbroken.start())
    broken = training("broken", *settings)
    done = []
    for iteration in (3, 15):
        process = broken.start()
        broken.wait_for(rf"iter: {iteration} ", process)
        assert broken.end(process, number) == 128 + number, broken.output
        done.append(int((broken.folder / "last_checkpoint").read_text()[6:13]))
        assert "repeat the command with --resume" in broken.output
    assert different(broken.finish(broken.start()), expected) == []
    assert broken.starts == [0, *(k + 1 for k in done)]


def test_a_signal_to_all_in_an_evaluation_is_obeyed_after_it(training, children):
    settings = [*SHORT, "train.eval_period=5", "dataloader.test.acdc_fog.num_workers=2"]
    broken = training("broken", *settings)
    broken.wait_for("Start inference", process := broken.start())
    while sum(blocks(worker, signal.SIGTERM) for worker in children(process.pid)) < 2:
        assert process.poll() is None, broken.output
    assert broken.end(process, signal.SIGTERM) == 128 + signal.SIGTERM, broken.output
    assert (broken.folder / "last_checkpoint").read_text() == "model_0000005.pth", broken.output
    assert (broken.folder / "benchmark.json").exists()


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_one_before(training, different):
    unbroken = training("unbroken", *SHORT)
    expected = unbroken.finish(unbroken.start())
    size = (unbroken.folder / "model_0000009.pth").stat().st_size
    broken = training("broken", *SHORT)
    broken.wait_for("iter: 15 ", process := broken.start())
    assert broken.end(process, signal.SIGTERM) == 128 + signal.SIGTERM
    before = {path: path.read_bytes() for path in broken.folder.glob("*model_*")}
    for largest in (size // 2, size - 1):
        process = broken.start(largest_file=largest)
        assert process.wait(60) == 1, broken.output
        assert re.search(r"File too large.*nothing was changed.*19\.pth", broken.output)
        last = (broken.folder / "last_checkpoint").read_text()
        assert {path: path.read_bytes() for path in broken.folder.glob("*model_*")} == before
        assert broken.folder / last in before
        assert not list(broken.folder.glob(".*.tmp"))
    assert different(broken.finish(broken.start()), expected) == []


def test_a_killed_loader_worker_is_an_error_and_leaves_the_checkpoints(
    training, different, children
):
    settings = [*SHORT, "dataloader.train.num_workers=2"]
    unbroken = training("unbroken", *settings)
    expected = unbroken.finish(unbroken.start())
    broken = training("broken", *settings)
    broken.wait_for("iter: 12 ", process := broken.start())
    os.kill(children(process.pid)[0], signal.SIGKILL)
    assert process.wait(60) == 1
    assert "DataLoader worker" in broken.output
    assert "killed by signal: Killed" in broken.output
    assert different(broken.finish(broken.start()), expected) == []
    assert broken.starts[1] >= 10


def test_memory_and_open_files_stay_flat_over_two_thousand_iterations(training):
    settings = ["train.max_iter=2000", "train.checkpointer.period=100", "train.log_period=10"]
    soak = training("soak", *settings, "dataloader.train.num_workers=2")
    process = soak.start("train.checkpointer.max_to_keep=2")
    soak.wait_for(STARTED, process)
    samples = []
    while process.poll() is None:
        logged = soak.output.rpartition("iter: ")[2].split(" ")[0]
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            files = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        except OSError:  # it has ended
            continue
        if logged.isdecimal() and 500 <= int(logged) < 1990:
            kilobytes = int(status.partition("VmRSS:")[2].split()[0])
            samples.append((int(logged), kilobytes, files))
        time.sleep(0.3)
    assert process.returncode == 0, soak.output
    iterations, kilobytes, files = np.array(samples).T
    slope = np.polyfit(iterations, kilobytes, 1)[0]
    print(f"{len(samples)} samples: {slope:.2f} kB an iteration, {files.min()}-{files.max()} files")
    assert abs(slope) < 2
    # Images on their way from the workers hold some for a moment.
    third = len(files) // 3
    assert np.median(files[:third]) == np.median(files[-third:])
    assert files.max() < 50
