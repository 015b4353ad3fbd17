"""Process-wide set-up: random seeds and switches of libraries."""

import logging
import os
import random
import time

import numpy as np
import torch

__all__ = ["seed_all_rng"]

TORCH_VERSION: tuple[int, ...] = tuple(int(part) for part in torch.__version__.split(".")[:2])
"""Major and minor version of PyTorch, for comparisons."""


def seed_all_rng(seed: int | None = None) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with ``seed`` in [0, 2**32).

    None draws a seed from the process id, the clock and the system's entropy, and logs it.
    Also sets ``PYTHONHASHSEED`` for the processes started later.
    """
    if seed is None:
        entropy = int.from_bytes(os.urandom(2), "little")
        seed = (os.getpid() + time.time_ns() // 1000 + entropy) % 2**32
        logging.getLogger(__name__).info(f"Using a generated random seed {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)


def setup_environment() -> None:
    """Prepare the process, at the first import of the package."""
    # OpenCV's OpenCL disturbs CUDA; OpenCV reads this when it is first used.
    os.environ["OPENCV_OPENCL_RUNTIME"] = "disabled"
