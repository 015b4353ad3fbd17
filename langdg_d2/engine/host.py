"""How this process uses the computer it runs on: its threads and its memory."""

import ctypes
import os
import platform
from typing import Final

import cv2

# Of malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4

# Of the environment, about the same.
_CHOICES: Final = {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}


def prepare_host(device_type: str) -> None:
    """Let OpenCV compute in one thread, and a process that computes on the CPU keep its memory.

    It holds for all of this process. Call it before loaders start: OpenCV's threads would be as
    many as cores in every worker, and those that have run already do not live on in a forked one,
    where waiting for them never ends.

    Args:
        device_type: where the model is, such as "cpu".
    """
    cv2.setNumThreads(1)
    if device_type == "cpu":
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is allocated next, not give it back.

    It gives large blocks back at once, and the kernel clears each page of the next one, in every
    iteration the same: a fifth of a training step on CPUs. Other C libraries than GNU's are left
    as they are, and so is what the environment has chosen.
    """
    if platform.libc_ver()[0] == "glibc" and not _CHOICES & os.environ.keys():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
