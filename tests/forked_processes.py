"""What processes call that are forked from one that has only imported.

It is a file of its own, with a name of its own, by which such a process can import it.
"""

import os
from collections.abc import Callable

import torch


def in_environment(
    rank: int, environment: dict[str, str], function: Callable[..., None], *arguments: object
) -> None:
    """Call a function with the environment of the process that asked for it."""
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", torch.get_num_threads())))
    function(rank, *arguments)
