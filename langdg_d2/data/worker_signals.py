"""Loaders' workers outlive the signals that end training in good order."""

import signal
import threading
from os import _exit, getppid


def leave_signals_to_training(_: int) -> None:
    """A worker ends when its training process says so, and not with a whole group of processes.

    Ctrl-C and schedulers send their signals to workers as well, whose images the training process
    still needs to end in good order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Only Linux tells who has sent a signal.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != getppid():
        pass
    _exit(128 + signal.SIGTERM)
