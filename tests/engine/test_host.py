"""A process that computes on the CPU reuses its memory."""

import platform
import resource
import subprocess
import sys

import cv2
import pytest

from langdg_d2.engine.defaults import prepare_host

# Pages that the kernel hands out for a block of 64 MiB, after one like it has been freed.
FAULTS = """
import ctypes
import os
import resource

os.environ.pop("THP_MEM_ALLOC_ENABLE", None)
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no large pages, of which there are few to count
import torch
from langdg_d2.engine.defaults import prepare_host

prepare_host({device_type!r})
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16, 1024, 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(device_type: str) -> int:
    program = FAULTS.format(device_type=device_type)
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is GNU's")
def test_freed_memory_is_kept_on_the_cpu_alone():
    pages = (64 << 20) // resource.getpagesize()
    assert faults("cpu") < pages / 100
    assert faults("cuda") > pages / 2


def test_opencv_computes_in_one_thread():
    threads = cv2.getNumThreads()
    try:
        prepare_host("other")
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(threads)
