"""Results and errors that every process hears of, so that none waits for one that has failed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@contextmanager
def shared_errors() -> Iterator[None]:
    """A block that all processes leave together: if it fails in one, it fails in all.

    Every process must enter it, and it must not hold collective calls itself.

    Raises:
        RuntimeError: in a process that has not failed itself; says which has, and how.
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
    """What a function returns or raises in the main process, in all; every process must call it.

    Args:
        work: its result is pickled; without collective calls.
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
    """The model that `DistributedDataParallel` wraps; one that is not wrapped itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model
