"""Start a program on one or many processes: Detectron2's launcher, or torchrun's environment."""

import multiprocessing
import os
from argparse import Namespace
from collections.abc import Callable

import torch
import torch.distributed as dist
from detectron2.engine import DEFAULT_TIMEOUT
from detectron2.engine import launch as detectron2_launch
from detectron2.utils import comm

from .told_errors import told_errors

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def launch(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Call `main(args)` in every process; errors of users end it with a line, see `told_errors`.

    Under torchrun the processes exist already: this one joins them, and the arguments about
    processes are not used. Otherwise Detectron2 starts `num_gpus` processes on each machine,
    talking NCCL where there are GPUs and gloo where there are none; `num_gpus` 0 or 1 on one
    machine means this process.

    Args:
        main: what to run.
        args: of Detectron2's `default_argument_parser`.
    """
    if all(name in os.environ for name in _TORCHRUN):
        _join_torchrun(use_gpu=args.num_gpus > 0 and torch.cuda.is_available())
        _run_and_leave(main, args)
        return
    detectron2_launch(
        _run_spawned,
        max(1, args.num_gpus),
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(main, args, multiprocessing.get_start_method(allow_none=True)),
    )


def _run_spawned(
    main: Callable[[Namespace], None], args: Namespace, start_method: str | None
) -> None:
    # A spawned process would spawn its loaders' workers as well, which takes seconds for each.
    multiprocessing.set_start_method(start_method, force=True)
    _run_and_leave(main, args)


def _run_and_leave(main: Callable[[Namespace], None], args: Namespace) -> None:
    with told_errors():
        main(args)
    # A process that exits while the group's threads run may be aborted. Not after an error:
    # others may wait in a collective, and the launcher has to see the failure.
    if dist.is_initialized():
        comm.synchronize()
        dist.destroy_process_group()


def _join_torchrun(*, use_gpu: bool) -> None:
    if use_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(backend="nccl" if use_gpu else "gloo", timeout=DEFAULT_TIMEOUT)
    comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))
