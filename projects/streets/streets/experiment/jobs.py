"""Commands in processes side by side, under one progress bar."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from langdg_d2.utils.errors import LangDGError

_POLL = 0.5  # seconds
_LAST_LINES = 15  # of the output of a command that failed
# Memory that was used once is kept: asking the system for it anew takes much of a training step.
_KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class JobFailed(LangDGError):
    """A command failed; the message has the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command to run.

    Attributes:
        title: for people.
        command: with its arguments.
        log: file that its output is appended to.
        environment: variables beside those of this process.
        weight: how long it takes, in any unit that all jobs share.
        share: how much of it is done, in 0..1, while it runs.
    """

    title: str
    command: Sequence[str]
    log: Path
    weight: float
    environment: Mapping[str, str] = field(default_factory=dict)
    share: Callable[[], float] = lambda: 0.0


class Progress:
    """One bar over all jobs, and the means to stop them; any thread may use it."""

    def __init__(self, *, total: float, workers: int) -> None:
        """
        Args:
            total: weight of all jobs.
            workers: processes side by side; they share the cores.
        """
        self._bar = tqdm(
            total=total,
            desc="experiment",
            disable=None,
            smoothing=0,
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )
        self._threads = max(1, (os.cpu_count() or 1) // workers)
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with self._lock:
            self._bar.write(text)

    def stop(self) -> None:
        """End all commands; those that have not begun never do."""
        self._stop.set()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def run(self, job: Job) -> float:
        """Run a command to its end; returns its seconds.

        Raises:
            JobFailed: if it fails or is stopped.
        """
        if self._stop.is_set():
            raise JobFailed(f"{job.title} was not begun")
        job.log.parent.mkdir(parents=True, exist_ok=True)
        threads = {"OMP_NUM_THREADS": str(self._threads)}
        environment = threads | _KEEP_MEMORY | dict(os.environ) | dict(job.environment)
        started, reported = time.monotonic(), 0.0
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            try:
                while process.poll() is None and not self._stop.wait(_POLL):
                    reported = self._report(job, reported, job.share())
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode:
            raise JobFailed(f"{job.title} failed, see {job.log}\n{_end_of(job.log)}")
        self._report(job, reported, 1.0)
        return time.monotonic() - started

    def _report(self, job: Job, earlier: float, share: float) -> float:
        share = max(earlier, min(1.0, share))
        with self._lock:
            self._bar.update((share - earlier) * job.weight)
        return share


def run_side_by_side(
    tasks: Mapping[str, Callable[[], None]],
    *,
    workers: int,
    progress: Progress,
    after_each: Callable[[], None] = lambda: None,
) -> dict[str, JobFailed]:
    """Call all tasks, some at a time, in their order; one that fails does not end the others.

    Args:
        tasks: by name; each runs its jobs through `progress`.
        workers: tasks at a time.
        progress: stopped where this is interrupted.
        after_each: called in this thread when a task has succeeded.

    Returns:
        What failed, by the name of the task.
    """
    failures = {}
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(task): name for name, task in tasks.items()}
        try:
            for future in as_completed(futures):
                try:
                    future.result()
                except JobFailed as error:
                    failures[futures[future]] = error
                    progress.say(str(error))
                else:
                    after_each()
        except BaseException:
            progress.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return failures


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
