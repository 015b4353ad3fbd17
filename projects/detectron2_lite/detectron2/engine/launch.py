"""Starting one process per device."""

import logging
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


def _free_address() -> str:
    """An address on this machine whose port nobody used a moment ago."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def launch(
    main_func: Callable[..., Any],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: tuple[Any, ...] = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Call ``main_func(*args)`` in every process of a process group, or here if it is only one.

    The processes use NCCL and a GPU each where CUDA is available, gloo elsewhere.

    Args:
        main_func: must pickle, so a function at the top level of a module.
        num_gpus_per_machine: processes to start on this machine; call this on every machine.
        dist_url: where the processes meet, e.g. "tcp://127.0.0.1:8686"; "auto", on a single
            machine, for a free port.
        timeout: how long the processes wait for each other.
    """
    world_size = num_machines * num_gpus_per_machine
    if world_size == 1:
        main_func(*args)
        return
    if dist_url == "auto":
        assert num_machines == 1, f'dist_url="auto" cannot be used on {num_machines} machines'
        dist_url = _free_address()
    if num_machines > 1 and dist_url is not None and dist_url.startswith("file://"):
        logging.getLogger(__name__).warning(
            f"{dist_url} is an unreliable meeting point for several machines. Prefer tcp://"
        )
    worker_args = (main_func, world_size, num_gpus_per_machine, machine_rank, dist_url, args)
    mp.start_processes(
        _distributed_worker, args=(*worker_args, timeout), nprocs=num_gpus_per_machine, daemon=False
    )


def _distributed_worker(
    local_rank: int,
    main_func: Callable[..., Any],
    world_size: int,
    num_gpus_per_machine: int,
    machine_rank: int,
    dist_url: str | None,
    args: tuple[Any, ...],
    timeout: timedelta,
) -> None:
    """Join the process group, then run ``main_func``."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        available = torch.cuda.device_count()
        assert num_gpus_per_machine <= available, (
            f"{num_gpus_per_machine} processes need a GPU each, {available} are available"
        )
    try:
        dist.init_process_group(
            backend="nccl" if has_gpu else "gloo",
            init_method=dist_url,
            world_size=world_size,
            rank=machine_rank * num_gpus_per_machine + local_rank,
            timeout=timeout,
        )
    except Exception:
        logging.getLogger(__name__).error(f"Process group URL: {dist_url}")
        raise
    comm.create_local_process_group(num_gpus_per_machine)
    if has_gpu:
        torch.cuda.set_device(local_rank)
    comm.synchronize()  # or a fast process may time out while waiting for one that still starts
    main_func(*args)
