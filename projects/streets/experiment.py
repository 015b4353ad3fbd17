#!/usr/bin/env python
"""Measure the recipe's parts on streets: train every variant with several seeds, score, compare.

    python projects/streets/experiment.py --output output/experiment
    python projects/streets/experiment.py --output output/trial --validation --seeds 1 \\
        --cells full no_mixing --set optimizer.lr=0.05

Started again, it skips what is done and goes on with what was cut. Everything is in
`<output>/targets/` (or `validation/`): tables, bars, and a sheet of predictions.
"""

import argparse
import os
import platform
import re
import shlex
import signal
import sys
from functools import partial
from pathlib import Path

from streets.domains import Role
from streets.experiment.cells import CELLS, choose_cells
from streets.experiment.jobs import JobFailed
from streets.experiment.lock import locked
from streets.experiment.pictures import prediction_sheet
from streets.experiment.plan import execute, make_runs, scored_runs
from streets.experiment.plots import write_plots
from streets.experiment.results import CellResult, collect, commits
from streets.experiment.runs import Run
from streets.experiment.setting import Experiment, Scenes
from streets.experiment.tables import columns, write_tables

from langdg_d2.utils.errors import report_errors
from langdg_d2.visualization.sem_seg import write_png

_SCENE = 0  # that the sheet shows
_THUMBNAIL = (112, 224)  # height and width in pixels


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2])


def argument_parser() -> argparse.ArgumentParser:
    """The command's options."""
    defaults = Scenes()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of all results")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="K", help="[1 2 3]")
    add("--cells", nargs="+", metavar="NAME", help=f"variants [all]: {', '.join(CELLS)}")
    add("--iterations", type=int, metavar="N", help="of training [of the config]")
    add("--validation", action="store_true", help="score the looks to choose settings on instead")
    add(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of configs/experiment.py"
    )
    add("--workers", type=int, default=2, metavar="N", help="trainings side by side [2]")
    add("--data", type=Path, metavar="DIR", help="folder of the scenes [<output>/datasets]")
    add("--size", type=_size, default=(defaults.height, defaults.width), metavar="HxW")
    add("--train", type=int, default=defaults.train, help=f"source scenes [{defaults.train}]")
    add("--val", type=int, default=defaults.val, help=f"scored source scenes [{defaults.val}]")
    add("--targets", type=int, default=defaults.targets, help=f"a look [{defaults.targets}]")
    return parser


def _experiment(options: argparse.Namespace) -> Experiment:
    iterations = [f"train.max_iter={options.iterations}"] if options.iterations else []
    height, width = options.size
    return Experiment(
        output=options.output.resolve(),
        data=(options.data or options.output / "datasets").resolve(),
        scenes=Scenes(
            height=height,
            width=width,
            train=options.train,
            val=options.val,
            targets=options.targets,
        ),
        role=Role.VALIDATION if options.validation else Role.TARGET,
        overrides=(*options.set, *iterations),
    )


def _report(experiment: Experiment, runs: list[Run], *, command: str) -> list[CellResult]:
    """Write the tables of what is scored so far, if anything is, and give what is in them."""
    results = collect(scored_runs(experiment, runs))
    if results:
        facts = {
            "last command": command,
            "code": ", ".join(commits(results)),
            "iterations": str(experiment.base.train.max_iter),
            "scenes": experiment.scenes.describe(),
            "machine": f"{os.cpu_count()} CPU cores ({platform.machine()})",
        }
        titles = columns(experiment.source, experiment.unseen)
        write_tables(experiment.scores, results, titles=titles, facts=facts)
    return results


def _draw(experiment: Experiment, results: list[CellResult]) -> None:
    """Bars and predictions."""
    folder = experiment.scores
    write_plots(folder, results, titles=columns(experiment.source, experiment.unseen))
    os.environ["DETECTRON2_DATASETS"] = str(experiment.data)
    datasets = {domain.look: experiment.dataset(domain) for domain in experiment.unseen}
    sheet = prediction_sheet(results, datasets=datasets, scene=_SCENE, size=_THUMBNAIL)
    write_png(folder / "predictions.png", sheet)


def _run(experiment: Experiment, options: argparse.Namespace, command: str) -> dict[str, JobFailed]:
    """Do what is left to do, then print and draw all there is; returns what failed."""
    runs = make_runs(experiment, choose_cells(options.cells), sorted(set(options.seeds)))
    report = partial(_report, experiment, runs, command=command)
    failures = execute(runs, workers=options.workers, after_each=report)
    if results := report():
        _draw(experiment, results)
        print((experiment.scores / "table.md").read_text())
    return failures


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = argument_parser().parse_args(arguments)
    command = shlex.join(["python", "projects/streets/experiment.py", *arguments])
    try:
        with report_errors(), locked(options.output):
            failures = _run(_experiment(options), options, command)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    if failures:
        sys.exit(f"error: {len(failures)} commands failed: {', '.join(failures)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # commands end with this one
    main()
