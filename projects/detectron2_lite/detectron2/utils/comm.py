"""Communication between processes; without a process group there is just one."""

import functools
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

_LOCAL_PROCESS_GROUP: dist.ProcessGroup | None = None


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Number of processes on all machines."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Index of this process on all machines."""
    return dist.get_rank() if _is_distributed() else 0


def is_main_process() -> bool:
    """Whether this is rank 0, which writes files and logs."""
    return get_rank() == 0


@functools.lru_cache
def create_local_process_group(num_workers_per_machine: int) -> None:
    """Group the processes of each machine; `launch` does it, other starters have to, once."""
    global _LOCAL_PROCESS_GROUP
    assert _LOCAL_PROCESS_GROUP is None, "the local process group exists already"
    machines, left_over = divmod(get_world_size(), num_workers_per_machine)
    assert left_over == 0, f"machines of {num_workers_per_machine} leave {left_over} processes over"
    # Every process takes part in making every group, and keeps its own.
    groups: list[Any] = [
        dist.new_group(range(k * num_workers_per_machine, (k + 1) * num_workers_per_machine))
        for k in range(machines)
    ]
    _LOCAL_PROCESS_GROUP = groups[get_rank() // num_workers_per_machine]


def get_local_process_group() -> dist.ProcessGroup:
    """The processes of this machine."""
    assert _LOCAL_PROCESS_GROUP is not None, (
        "start the processes by detectron2.engine.launch, or call create_local_process_group"
    )
    return _LOCAL_PROCESS_GROUP


def get_local_rank() -> int:
    """Index of this process on its machine."""
    return dist.get_rank(get_local_process_group()) if _is_distributed() else 0


def get_local_size() -> int:
    """Number of processes on this machine."""
    return dist.get_world_size(get_local_process_group()) if _is_distributed() else 1


def synchronize() -> None:
    """Wait until all processes are here."""
    if get_world_size() > 1:
        # NCCL warns if it has to guess the device.
        has_gpu = dist.get_backend() == "nccl"
        dist.barrier(device_ids=[torch.cuda.current_device()] if has_gpu else None)


@functools.lru_cache
def _cpu_group() -> Any:
    """All processes, over main memory."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else dist.group.WORLD


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """The `data` (anything that pickles) of every process, ordered by rank."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, data, group=group)
    return gathered


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """As `all_gather`, but for process `dst` only: [] in the others."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    is_receiver = dist.get_rank(group) == dst
    gathered: list[Any] = [None] * dist.get_world_size(group) if is_receiver else []
    dist.gather_object(data, gathered or None, dst=dst, group=group)
    return gathered


def shared_random_seed() -> int:
    """A number below 2**31 from NumPy's generator in rank 0; a collective call."""
    return all_gather(np.random.randint(2**31))[0]
