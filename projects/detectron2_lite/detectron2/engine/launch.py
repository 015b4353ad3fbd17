"""Starting one process per device."""

import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.utils import comm

__all__ = ["DEFAULT_TIMEOUT", "launch"]

DEFAULT_TIMEOUT = timedelta(minutes=30)


def launch(
    main_func: Callable[..., Any],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: tuple[Any, ...] = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Call ``main_func(*args)`` in processes that NCCL connects, or gloo without GPUs; or here.

    They meet at `dist_url`, which may be "auto" on a single machine.
    """
    world_size = num_machines * num_gpus_per_machine
    if world_size == 1:
        main_func(*args)
        return
    if dist_url == "auto":
        assert num_machines == 1, f'dist_url="auto" cannot be used on {num_machines} machines'
        dist_url = f"tcp://127.0.0.1:{_free_port()}"
    group = {"init_method": dist_url, "world_size": world_size, "timeout": timeout}
    first_rank = machine_rank * num_gpus_per_machine
    worker_args = (main_func, args, group, first_rank, num_gpus_per_machine)
    mp.start_processes(_worker, worker_args, nprocs=num_gpus_per_machine)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _worker(
    local_rank: int,
    main_func: Callable[..., Any],
    args: tuple[Any, ...],
    group: dict[str, Any],
    first_rank: int,
    num_local: int,
) -> None:
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        num_gpus = torch.cuda.device_count()
        assert num_local <= num_gpus, f"{num_local} processes need a GPU each, there are {num_gpus}"
    dist.init_process_group("nccl" if has_gpu else "gloo", rank=first_rank + local_rank, **group)
    comm.create_local_process_group(num_local)
    if has_gpu:
        torch.cuda.set_device(local_rank)
    comm.synchronize()  # or a fast process may wait too long for one that still starts
    main_func(*args)
    if dist.is_initialized():  # its threads may abort a process that exits without leaving
        comm.synchronize()
        dist.destroy_process_group()
