#!/usr/bin/env python
"""Run the ablations on streets: train and evaluate every variant with several seeds.

    python projects/streets/experiment.py --output output/experiment
    python projects/streets/experiment.py --output output/trial --validation --seeds 1 \\
        --cells full no_mixing --set optimizer.lr=0.05

The command writes tables, bar charts and a sheet of predictions to the output folder. If you run it
again, it skips finished runs and resumes interrupted ones.
"""

import argparse
import asyncio
import shlex
import signal
import sys
from functools import partial
from pathlib import Path

from streets.collection import Settings, generate
from streets.domains import TARGET_LOOKS, VALIDATION_LOOKS
from streets.experiment.report import write_pictures, write_tables
from streets.experiment.runs import CONFIG, Experiment, Run, execute, locked
from streets.experiment.variants import RECIPE_VARIANTS, TOWER_VARIANTS, VARIANTS

from langdg_d2.utils.errors import LangDGError, report_errors


def size(text: str) -> tuple[int, int]:
    """Parse height and width from HxW."""
    height, width = map(int, text.split("x"))
    return height, width


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder for all results")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="K", help="seeds [1 2 3]")
    add(
        "--cells",
        nargs="+",
        choices=list(VARIANTS),
        default=list(RECIPE_VARIANTS),
        metavar="NAME",
        help=f"variants of the recipe [{' '.join(RECIPE_VARIANTS)}], or, with "
        f"configs/experiment_vit.py, of the tower: {' '.join(TOWER_VARIANTS)}",
    )
    add(
        "--validation",
        action="store_true",
        help="score the looks for choosing hyperparameters instead",
    )
    add(
        "--config-file",
        type=Path,
        default=CONFIG,
        metavar="FILE",
        help="base config [configs/experiment.py]",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="config overrides for all variants",
    )
    add("--workers", type=int, default=2, metavar="N", help="runs at a time [2]")
    add("--size", type=size, default=(384, 768), metavar="HxW", help="size of the scenes [384x768]")
    add("--train", type=int, default=400, metavar="N", help="source scenes [400]")
    add("--val", type=int, default=25, metavar="N", help="scored source scenes [25]")
    add("--targets", type=int, default=25, metavar="N", help="scored scenes per look [25]")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, *, command: str, lock: int) -> None:
    """Execute the remaining runs, then write and print all results."""
    looks = VALIDATION_LOOKS if options.validation else TARGET_LOOKS
    height, width = options.size
    numbers = {name: getattr(options, name) for name in ("train", "val", "targets")}
    output, overrides = options.output.resolve(), tuple(options.set)
    scenes = Settings(height=height, width=width, seed=0, looks=looks, **numbers)
    experiment = Experiment(
        output=output, scenes=scenes, overrides=overrides, config_file=options.config_file
    )
    variants = [variant for name, variant in VARIANTS.items() if name in options.cells]
    # Seed by seed, so that every variant has its first result early.
    runs = [Run(experiment, v, seed) for seed in sorted(set(options.seeds)) for v in variants]
    for one in runs:
        if one.difference:
            raise LangDGError(
                f"{one.folder} was made with other settings ({one.difference}); choose another "
                "--output, or delete the folder"
            )
    if not all(one.is_scored for one in runs):
        for folder, drawn in experiment.collections.items():
            if drawn is scenes or any(variant.sees_targets for variant in variants):
                generate(folder, drawn, workers=options.workers)
    tables = partial(write_tables, runs, output, command)
    asyncio.run(execute(runs, workers=options.workers, lock=lock, after_each=tables))
    if scored := [one for one in runs if one.is_scored]:
        tables()
        write_pictures(scored, output)
        print((output / "table.md").read_text())
    if failed := [str(one.folder) for one in runs if not one.is_scored]:
        raise LangDGError(f"{len(failed)} runs failed: {', '.join(failed)}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = parse(arguments)
    command = ["python", "projects/streets/experiment.py", *(arguments or sys.argv[1:])]
    try:
        with report_errors(), locked(options.output) as lock:
            run(options, command=shlex.join(command), lock=lock)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # commands end with this one
    main()
