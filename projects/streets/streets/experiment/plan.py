"""What is left to do for some cells and seeds, and doing it."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from streets.collection import Settings, claim_folder
from streets.experiment.cells import CELLS, Cell
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
_SCENE = 0.2
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


def scored_runs(experiment: Experiment, runs: Sequence[Run]) -> list[Run]:
    """All runs in the folder that have these settings and are scored, cell by cell.

    Args:
        experiment: what they belong to.
        runs: of `make_runs`; there may be others, of earlier commands.
    """
    folders = (path.name for path in experiment.output.glob("*/seed*"))
    seeds = {int(found[1]) for name in folders if (found := re.fullmatch(r"seed(\d+)", name))}
    known = {(run.cell.name, run.seed): run for run in runs}
    every = [
        known.get((cell.name, seed)) or Run(experiment=experiment, cell=cell, seed=seed)
        for cell in CELLS.values()
        for seed in sorted(seeds)
    ]
    return [run for run in every if run.is_scored and run.agrees]


def execute(
    runs: Sequence[Run], *, workers: int, after_each: Callable[[], None]
) -> dict[str, JobFailed]:
    """Draw scenes, mine styles, train and score, as far as that is not done.

    Args:
        runs: of one experiment.
        workers: commands side by side.
        after_each: called when styles are mined or a run is done.

    Returns:
        What failed, by name.
    """
    todo = [run for run in runs if not run.is_scored]
    if not todo:
        return {}
    drawings = _drawings(todo, workers)
    minings = _minings([run for run in todo if not run.is_trained])
    total = sum(job.weight for job in (*drawings, *minings.values(), *todo))
    progress = Progress(total=total, workers=workers)
    failures = run_side_by_side(
        {job.title: partial(progress.run, job) for job in drawings},
        workers=workers,
        progress=progress,
    )
    if not failures:  # all that comes later needs the scenes
        tasks = make_tasks(todo, minings, progress)
        failures = run_side_by_side(
            tasks, workers=workers, progress=progress, after_each=after_each
        )
    progress.close()
    return failures


def make_tasks(
    runs: Sequence[Run], minings: Mapping[Path, Job], progress: Progress
) -> dict[str, Callable[[], None]]:
    """Minings and runs by name, seed by seed; what a run waits for comes before it."""
    mined: dict[Path, Future[None]] = {bank: Future() for bank in minings}
    tasks: dict[str, Callable[[], None]] = {}
    for _, same_seed in groupby(runs, key=attrgetter("seed")):
        group = list(same_seed)
        for bank in dict.fromkeys(run.bank for run in group):
            if bank in minings:
                tasks[minings[bank].title] = partial(_mine, minings[bank], mined[bank], progress)
        tasks |= {run.name: partial(_train, run, mined, progress) for run in group}
    return tasks


def _mine(job: Job, done: Future[None], progress: Progress) -> None:
    try:
        progress.run(job)
    except BaseException as error:
        done.set_exception(error)
        raise
    done.set_result(None)


def _train(run: Run, mined: Mapping[Path, Future[None]], progress: Progress) -> None:
    if run.bank in mined and mined[run.bank].exception():
        raise JobFailed(f"{run.name} was not begun, since its styles were not mined")
    run.execute(progress)


def _drawings(runs: Sequence[Run], workers: int) -> list[Job]:
    """A command for every collection of scenes; complete scenes are kept."""
    experiment = runs[0].experiment
    found = collections(experiment, [run.cell for run in runs])
    share = max(1, workers // len(found))
    return [_drawing(experiment, folder, settings, share) for folder, settings in found.items()]


def _drawing(experiment: Experiment, folder: Path, settings: Settings, workers: int) -> Job:
    scenes = settings.train + settings.val + settings.targets * len(settings.looks)
    return Job(
        title=f"drawing of {folder.name}",
        command=[
            *(sys.executable, str(PROJECT / "generate.py"), "--output", str(folder)),
            *("--size", f"{settings.height}x{settings.width}", "--seed", str(settings.seed)),
            *("--train", str(settings.train), "--val", str(settings.val)),
            *("--targets", str(settings.targets), "--looks", ",".join(settings.looks)),
            *("--workers", str(workers)),
        ],
        log=experiment.output / f"{folder.name}.out",
        weight=scenes * _SCENE / workers,
    )


def _minings(runs: Sequence[Run]) -> dict[Path, Job]:
    """A command for every bank that is missing, once for all runs that share it."""
    needed = {run.bank: run for run in runs}
    return {
        bank: _mining(run, bank)
        for bank, run in needed.items()
        if bank is not None and not bank.exists()
    }


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
