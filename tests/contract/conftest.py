"""What several contract tests need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist


@pytest.fixture
def on_processes(tmp_path: Path) -> Callable[[int, Callable[[], Any]], list[Any]]:
    """Gives what a function returns in every rank of a gloo group of processes forked from here."""

    def on_processes(count: int, function: Callable[[], Any]) -> list[Any]:
        context = torch.multiprocessing.get_context("fork")
        queue = context.Queue()

        def run(rank: int) -> None:
            store = f"file://{tmp_path / 'store'}"
            dist.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
            queue.put((rank, function()))
            dist.barrier()

        processes = [context.Process(target=run, args=(rank,)) for rank in range(count)]
        for process in processes:
            process.start()
        results = dict(queue.get(timeout=60) for _ in processes)
        for process in processes:
            process.join()
        return [results[rank] for rank in range(count)]

    return on_processes
