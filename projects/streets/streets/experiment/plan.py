"""What is left to do for some cells and seeds, and doing it."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from streets.collection import Settings, claim_folder
from streets.experiment.cells import Cell
from streets.experiment.jobs import Job, JobFailed, Progress, run_side_by_side
from streets.experiment.runs import Run
from streets.experiment.setting import (
    CONFIG,
    PROJECT,
    REPOSITORY,
    Experiment,
    collections,
)

# Seconds on a core of a 2.4 GHz server, for the remaining time that the bar shows.
_SCENE = 0.1
_MINED_BATCH = 7.5
_MINED_BATCH_WITHOUT_STEPS = 0.5


def make_runs(experiment: Experiment, cells: Sequence[Cell], seeds: Sequence[int]) -> list[Run]:
    """All runs, seed by seed, so that every cell has its first result early.

    Raises:
        OtherSettings: if one of them was made with other settings.
        FileExistsError: if scenes were.
        FileNotFoundError: if CLIP's weights are missing.
    """
    runs = [Run(experiment=experiment, cell=cell, seed=seed) for seed in seeds for cell in cells]
    for run in runs:
        run.check()
    for folder, settings in collections(experiment, cells).items():
        claim_folder(folder, settings)
    return runs


def execute(
    runs: Sequence[Run], *, workers: int, after_each: Callable[[], None]
) -> dict[str, JobFailed]:
    """Draw scenes, mine styles, train and score, as far as that is not done.

    Args:
        runs: of one experiment.
        workers: commands side by side.
        after_each: called when a run is done.

    Returns:
        What failed, by name.
    """
    todo = [run for run in runs if not run.is_scored]
    if not todo:
        return {}
    drawings = _drawings(todo)
    minings = _minings([run for run in todo if not run.is_trained])
    jobs = [*drawings, *minings]
    total = sum(job.weight for job in jobs) + sum(run.weight for run in todo)
    progress = Progress(total=total, workers=workers)
    stages: list[tuple[dict[str, Callable[[], object]], Callable[[], None]]] = [
        ({job.title: partial(progress.run, job) for job in drawings}, lambda: None),
        ({job.title: partial(progress.run, job) for job in minings}, lambda: None),
        ({run.name: partial(run.execute, progress) for run in todo}, after_each),
    ]
    failures: dict[str, JobFailed] = {}
    for tasks, done in stages:
        if not failures:  # what comes later needs all that comes before
            failures = run_side_by_side(tasks, workers=workers, progress=progress, after_each=done)
    progress.close()
    return failures


def _drawings(runs: Sequence[Run]) -> list[Job]:
    """A command for every collection of scenes; complete scenes are kept."""
    experiment = runs[0].experiment
    found = collections(experiment, [run.cell for run in runs])
    return [_drawing(experiment, folder, settings) for folder, settings in found.items()]


def _drawing(experiment: Experiment, folder: Path, settings: Settings) -> Job:
    scenes = settings.train + settings.val + settings.targets * len(settings.looks)
    return Job(
        title=f"drawing of {folder.name}",
        command=[
            *(sys.executable, str(PROJECT / "generate.py"), "--output", str(folder)),
            *("--size", f"{settings.height}x{settings.width}", "--seed", str(settings.seed)),
            *("--train", str(settings.train), "--val", str(settings.val)),
            *("--targets", str(settings.targets), "--looks", ",".join(settings.looks)),
            *("--workers", "1"),
        ],
        log=experiment.output / f"{folder.name}.out",
        weight=scenes * _SCENE,
    )


def _minings(runs: Sequence[Run]) -> list[Job]:
    """A command for every bank that is missing, once for all runs that share it."""
    needed = {run.bank: run for run in runs}
    return [
        _mining(run, bank) for bank, run in needed.items() if bank is not None and not bank.exists()
    ]


def _mining(run: Run, bank: Path) -> Job:
    mining = run.facts["config"]["styles"]["mining"]
    batches = run.experiment.scenes.train // mining["batches"]["batch_size"]
    steps = mining["miner"]["pin"]["steps"]
    return Job(
        title=f"mining of {bank.stem}",
        command=[
            *(sys.executable, str(REPOSITORY / "tools/mine_styles.py")),
            *("--config-file", str(CONFIG), "--num-gpus", run.gpus),
            *run.experiment.cell_overrides(run.cell, run.seed),
            *(f"styles.bank={bank}", f"train.output_dir={bank.with_suffix('')}"),
        ],
        log=bank.with_suffix(".out"),
        environment={"DETECTRON2_DATASETS": str(run.experiment.data)},
        weight=batches * max(_MINED_BATCH_WITHOUT_STEPS, _MINED_BATCH * steps / 100),
    )
