"""Tools in processes that are forked from one that has imported everything.

A file of its own, by whose name such a process can import it.
"""

import asyncio
import os
import runpy
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import BinaryIO

import torch


def run_tool(command: Sequence[str], environment: dict[str, str], log: str) -> None:
    """Run a tool with the words of its command line."""
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = list(command)
    runpy.run_path(command[0], run_name="__main__")


class ForkedTool:
    """What `execute` uses of `asyncio.subprocess.Process`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.returncode: int | None = None

    async def wait(self) -> int | None:
        await asyncio.to_thread(self._process.join)
        self.returncode = self._process.exitcode
        return self.returncode

    def terminate(self) -> None:
        self._process.terminate()


async def start_tool(
    _: str, *command: str, env: dict[str, str], stdout: BinaryIO, **how: object
) -> ForkedTool:
    """Take the place of `asyncio.create_subprocess_exec`."""
    process = get_context("forkserver").Process(target=run_tool, args=(command, env, stdout.name))
    process.start()
    return ForkedTool(process)
