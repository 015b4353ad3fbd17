"""Share results and errors between processes, so that none waits for a failed one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@contextmanager
def shared_errors() -> Iterator[None]:
    """A block that fails in every process if it fails in one.

    Collective: every process must enter it. The block must not make collective calls itself.

    Raises:
        RuntimeError: in the processes that did not fail; names the failed one and its error.
    """
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    failures = comm.all_gather(None if own is None else f"{type(own).__name__}: {own}")
    if own is not None:
        raise own
    for rank, failure in enumerate(failures):
        if failure:
            raise RuntimeError(f"process {rank} has failed: {failure}")


def of_main_process(work: Callable[[], T]) -> T:
    """Run a function in the main process; its result or error reaches every process. Collective.

    Args:
        work: the function; makes no collective calls. Its result is pickled.
    """
    result: T | None = None
    error: Exception | None = None
    if comm.is_main_process():
        try:
            result = work()
        except Exception as caught:
            error = caught
    outcome: tuple[T, Exception | None] = comm.all_gather((result, error))[0]
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def without_ddp(model: nn.Module) -> nn.Module:
    """The model inside `DistributedDataParallel`; any other model is returned as it is."""
    return model.module if isinstance(model, DistributedDataParallel) else model
