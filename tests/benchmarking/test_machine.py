"""What a benchmark says of its machine is true."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from langdg_d2.benchmarking.machine import describe_machine, matmul_peak, peak_memory

STATUS = Path("/proc/self/status")


def test_machine_is_described_by_what_speed_depends_on():
    facts = describe_machine("cpu")
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__
    assert 1 <= facts["cores"] <= os.cpu_count()
    assert all(str(value) for value in facts.values())


def test_peak_counts_a_multiplication_and_an_addition(monkeypatch):
    seconds = iter(range(100))  # every product takes one
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    monkeypatch.setattr("langdg_d2.benchmarking.machine._SIDE_ON_CPU", 8)
    assert matmul_peak("cpu", "float32") == 2 * 8**3


@pytest.mark.skipif(not STATUS.is_file(), reason="the system tells it elsewhere")
def test_memory_is_the_most_that_the_system_has_seen():
    held = np.ones(10_000_000)
    counted = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    assert peak_memory("cpu") == pytest.approx(1024 * int(counted[1]), rel=0.01)
    assert peak_memory("cpu") > held.nbytes
