"""The hook that ends training in good order when a signal asks for it."""

import logging
import os
import signal
import threading
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase
from detectron2.utils import comm

logger = logging.getLogger(__name__)

# Windows lacks the last.
_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class TrainingStopped(SystemExit):
    """A signal has ended training; the exit code is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopOnSignal(HookBase):
    """SIGTERM, SIGINT and SIGUSR1 let the iteration end, save a checkpoint and end the process.

    Several processes agree on the iteration, for which they exchange a number every `period`
    iterations and in the last; one process alone stops at once. A second SIGINT ends the process
    without saving. The signals have their earlier meaning again when training has ended.

    Args:
        checkpointer: of the run.
        period: at these iterations losses must have been logged, see `SegmentationTrainer`.
    """

    def __init__(self, *, checkpointer: DetectionCheckpointer, period: int) -> None:
        self._checkpointer = checkpointer
        self._period = period
        self._asked = 0  # number of the signal
        self._interrupts = 0
        self._earlier: dict[int, Any] = {}

    def before_train(self) -> None:
        self._process = os.getpid()
        if threading.current_thread() is threading.main_thread():  # others cannot
            self._earlier = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def after_train(self) -> None:
        while self._earlier:
            signal.signal(*self._earlier.popitem())

    def after_step(self) -> None:
        """Stop, if it was asked for.

        Raises:
            TrainingStopped: then.
            FloatingPointError: if a loss that has not been logged yet is not finite.
        """
        number = self._agreed()
        if not number:
            return
        name = "model_final"
        if self.trainer.iter + 1 < self.trainer.max_iter:  # else it has been saved
            self.trainer.log_losses()
            name = f"model_{self.trainer.iter:07d}"
            self._checkpointer.save(name, iteration=self.trainer.iter)
        logger.info(
            "Stopped by %s after iteration %d, which '%s.pth' in '%s' holds: start the same "
            "command with --resume to go on",
            signal.Signals(number).name,
            self.trainer.iter,
            name,
            self._checkpointer.save_dir,
        )
        raise TrainingStopped(number)

    def _agreed(self) -> int:
        if comm.get_world_size() == 1:
            return self._asked
        done = self.trainer.iter + 1
        if done % self._period and done < self.trainer.max_iter:
            return 0
        return max(comm.all_gather(self._asked))

    def _ask(self, number: int, _: Any) -> None:
        if os.getpid() != self._process:  # a forked worker of a loader
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise SystemExit(128 + number)
        self._asked = number
