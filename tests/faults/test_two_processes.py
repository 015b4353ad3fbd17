"""Training on two processes stops, resumes and fails as one."""

import os
import re
import signal
import sys
import time

import pytest

pytestmark = pytest.mark.long
SETTINGS = ["train.max_iter=60", "train.checkpointer.period=7", "train.log_period=2"]
DEAD_AFTER = 60  # seconds


@pytest.fixture
def ranks(children):
    """Function that gives the ids of a launcher's training processes."""

    def find(launcher):
        def is_rank(pid):
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read()
            return "spawn_main" in words or "train_net" in words

        return [child for child in children(launcher.pid) if is_rank(child)]

    return find


def test_killed_and_told_to_stop_it_ends_with_the_same_weights(training, different):
    unbroken = training("unbroken", *SETTINGS)
    expected = unbroken.finish(unbroken.start_two())
    broken = training("broken", *SETTINGS)
    broken.wait_for("iter: 17 ", process := broken.start_two())
    assert broken.end(process, signal.SIGKILL) == -signal.SIGKILL
    broken.wait_for("iter: 27 ", process := broken.start_two())
    # To the launcher alone, as a user's `kill` does.
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEAD_AFTER) == 128 + signal.SIGTERM, broken.output
    assert "repeat the command with --resume" in broken.output
    last = int((broken.folder / "last_checkpoint").read_text()[6:13])
    assert last % 2 == 1  # at the end of a log period
    # To all, as a terminal's Ctrl-C does.
    broken.wait_for(f"iter: {last + 4} ", process := broken.start_two())
    assert broken.end(process, signal.SIGINT) == 128 + signal.SIGINT, broken.output
    assert different(broken.finish(broken.start_two()), expected) == []
    assert broken.starts[2] == last + 1


@pytest.mark.parametrize("way", ["num-gpus", "torchrun"])
def test_where_a_process_dies_the_other_ends_with_a_message(training, children, ranks, way):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    broken = training("broken", *SETTINGS, "train.max_iter=100000")
    launcher = broken.start_two(launcher=torchrun if way == "torchrun" else ())
    broken.wait_for("iter: 17 ", launcher)
    both = ranks(launcher)
    assert len(both) == 2
    os.kill(both[1], signal.SIGKILL)
    begin = time.monotonic()
    assert launcher.wait(DEAD_AFTER) == 1, broken.output
    print(f"{way}: ended after {time.monotonic() - begin:.1f} s", file=sys.stderr)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in both)
    assert re.search(r"SIGKILL|Connection \w+ by peer", broken.output)
    assert (broken.folder / "last_checkpoint").read_text() >= "model_0000013.pth"
