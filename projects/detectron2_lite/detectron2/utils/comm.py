"""Communication between processes; without a process group everything acts as a single one."""

import functools
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

_LOCAL_PROCESS_GROUP: dist.ProcessGroup | None = None


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Number of processes over all machines."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Index of this process among all, from 0."""
    return dist.get_rank() if _is_distributed() else 0


def is_main_process() -> bool:
    """Whether this is the process that writes files and logs, rank 0."""
    return get_rank() == 0


@functools.lru_cache
def create_local_process_group(num_workers_per_machine: int) -> None:
    """Group the processes of each machine, for :func:`get_local_rank` and its kin.

    :func:`detectron2.engine.launch` calls this; who starts processes otherwise must, in all of
    them together and once.
    """
    global _LOCAL_PROCESS_GROUP
    assert _LOCAL_PROCESS_GROUP is None, "the local process group exists already"
    world_size = get_world_size()
    assert world_size % num_workers_per_machine == 0, (
        f"{world_size} processes cannot be split over machines of {num_workers_per_machine}"
    )
    for first in range(0, world_size, num_workers_per_machine):
        ranks = list(range(first, first + num_workers_per_machine))
        group: Any = dist.new_group(ranks)  # every process takes part in making every group
        if get_rank() in ranks:
            _LOCAL_PROCESS_GROUP = group


def get_local_process_group() -> dist.ProcessGroup:
    """The group of the processes on this machine."""
    assert _LOCAL_PROCESS_GROUP is not None, (
        "There is no local process group. Start the processes by detectron2.engine.launch, or "
        "call comm.create_local_process_group(num_workers_per_machine) in each of them after "
        "torch.distributed.init_process_group."
    )
    return _LOCAL_PROCESS_GROUP


def get_local_rank() -> int:
    """Index of this process among those of its machine, from 0."""
    return dist.get_rank(group=get_local_process_group()) if _is_distributed() else 0


def get_local_size() -> int:
    """Number of processes on this machine."""
    return dist.get_world_size(group=get_local_process_group()) if _is_distributed() else 1


def synchronize() -> None:
    """Wait until all processes have come here."""
    if get_world_size() > 1:
        uses_gpus = dist.get_backend() == "nccl"
        # NCCL warns if it has to guess the device
        dist.barrier(device_ids=[torch.cuda.current_device()] if uses_gpus else None)


@functools.lru_cache
def _cpu_group() -> Any:
    """A group of all processes that moves objects through main memory, not the GPU's."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else dist.group.WORLD


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Every process's ``data`` (anything that pickles), ordered by rank, in every process."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, data, group=group)
    return gathered


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """As :func:`all_gather`, but only in process ``dst``; the others get an empty list."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    is_destination = dist.get_rank(group=group) == dst
    gathered: list[Any] = [None] * dist.get_world_size(group) if is_destination else []
    dist.gather_object(data, gathered if is_destination else None, dst=dst, group=group)
    return gathered


def shared_random_seed() -> int:
    """A number in [0, 2**31) from NumPy's generator in rank 0; all processes must call this."""
    return all_gather(np.random.randint(2**31))[0]


def reduce_dict(
    input_dict: dict[str, torch.Tensor], average: bool = True
) -> dict[str, torch.Tensor]:
    """Mean (or sum) over the processes of each value, right in rank 0 only.

    Args:
        input_dict: scalar tensors on the backend's device, the same keys in all processes.
    """
    if get_world_size() == 1:
        return input_dict
    names = sorted(input_dict)  # so that the processes agree on the order
    with torch.no_grad():
        values = torch.stack([input_dict[name] for name in names])
        dist.reduce(values, dst=0)
        if average and is_main_process():
            values /= get_world_size()
    return dict(zip(names, values, strict=True))
