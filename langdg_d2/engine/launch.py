"""Launching of one or several processes, by Detectron2's launcher or torchrun."""

import multiprocessing
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import torch
import torch.distributed as dist
from detectron2.engine import DEFAULT_TIMEOUT
from detectron2.engine import launch as detectron2_launch
from detectron2.utils import comm
from torch.multiprocessing import ProcessExitedException

from ..utils.errors import report_errors
from .config import load_config
from .hooks import SIGNALS, TrainingStopped

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def launch(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Call `main(args)` in every process, with errors reported as by `report_errors`.

    Under torchrun, this process joins the existing ones, and the arguments about processes are
    ignored. Otherwise, Detectron2 starts `num_gpus` processes on each machine; with 0 or 1 on a
    single machine, `main` runs in this process. The backend is NCCL if `train.device` of the
    config is a GPU, and gloo on the CPU.

    Signals that end training, see `StopOnSignal`, are forwarded to the started processes. If one of
    them dies, the others are terminated, and this process exits with code 1. An error that occurs
    in several started processes is reported once.

    Args:
        main: function to run.
        args: arguments from `argument_parser`.
    """
    under_torchrun = all(name in os.environ for name in _TORCHRUN)
    processes = max(1, args.num_gpus)
    if not under_torchrun and processes * args.num_machines == 1:
        _run_and_leave(main, args)
        return
    use_gpu = args.num_gpus > 0 and torch.cuda.is_available()
    if use_gpu and getattr(args, "config_file", ""):
        with report_errors():
            device = load_config(args.config_file, args.opts).train.device
        use_gpu = not str(device).startswith("cpu")  # `setup` rejects unknown names
    if under_torchrun:
        if use_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group(backend="nccl" if use_gpu else "gloo", timeout=DEFAULT_TIMEOUT)
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))
        _run_and_leave(main, args)
        return
    if args.num_machines > 1 and args.dist_url == "auto":
        sys.exit(
            "error: several machines need --dist-url, such as tcp://HOST:PORT of the first machine"
        )
    if not use_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Detectron2 uses NCCL wherever it sees a GPU
    places = {key: getattr(args, key) for key in ("num_machines", "machine_rank", "dist_url")}
    reported = multiprocessing.get_context("spawn").Value("b", False)
    start = (main, args, multiprocessing.get_start_method(allow_none=True), reported)
    with _signals_passed_on() as received:
        try:
            detectron2_launch(_run_spawned, processes, args=start, **places)
        except ProcessExitedException as error:
            _exit_as(error, received)


@contextmanager
def _signals_passed_on() -> Iterator[list[int]]:
    """Forward signals to the processes started in the context; yield the list of signals.

    This does nothing outside the main thread, because Python delivers signals only there.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def pass_on(number: int, _: Any) -> None:
        received.append(number)
        # Terminals send SIGINT to all processes; a forwarded one would count as the second.
        passed = signal.SIGTERM if number == signal.SIGINT else number
        for process in multiprocessing.active_children():
            if received.count(signal.SIGINT) > 1:
                process.kill()
            elif process.pid:
                os.kill(process.pid, passed)

    earlier = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _exit_as(error: ProcessExitedException, received: list[int]) -> None:
    """Exit with the code of the process that ended first, with a message if it is unexpected."""
    if received:
        sys.exit(128 + received[0])
    if error.exit_code > 128:
        sys.exit(error.exit_code)  # the process has logged its signal
    if error.exit_code == 1:
        sys.exit(1)  # the process has reported its error
    how = f"killed by {error.signal_name}" if error.signal_name else f"code {error.exit_code}"
    sys.exit(
        f"error: process {error.error_index} of this machine exited unexpectedly ({how}); the "
        "remaining processes were stopped. Resume from the last checkpoint with --resume"
    )


def _run_spawned(
    main: Callable[[Namespace], None],
    args: Namespace,
    start_method: str | None,
    reported: Synchronized,
) -> None:
    # Otherwise spawned processes would also spawn data loading workers, which takes seconds each.
    multiprocessing.set_start_method(start_method, force=True)
    try:
        _run_and_leave(main, args)
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        # Usually all processes raise the same error; the launcher terminates the others.
        with reported.get_lock():
            if not reported.value:
                reported.value = True
                print(end.code, file=sys.stderr, flush=True)
        sys.exit(1)


def _run_and_leave(main: Callable[[Namespace], None], args: Namespace) -> None:
    stopped = None
    try:
        with report_errors():
            main(args)
    except TrainingStopped as stop:
        stopped = stop  # agreed by all processes
    # Exiting while threads of the process group run may abort. This is skipped after an error,
    # because other processes may wait in a collective, and the launcher must notice the failure.
    if dist.is_initialized():
        comm.synchronize()
        dist.destroy_process_group()
    if stopped:
        raise stopped
