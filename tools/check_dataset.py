#!/usr/bin/env python
"""Check copies of data sets on disk: what is wrong with them, and where to get missing ones.

    python tools/check_dataset.py cityscapes
    python tools/check_dataset.py all --sample 200 --overlays output/overlays

Looks below $DETECTRON2_DATASETS, or `--root`. Reads every image and label, or with `--sample` some
of them. Exit code 0: no problems; 1: problems found; 2: wrong usage, or no data.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.utils.arguments import command_parser

ALL = "all"
OVERLAYS = 4  # of each split


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("name", metavar="NAME", help=f"such as cityscapes; another word lists them; or {ALL}")
    add("--split", nargs="+", help="splits to check; all of them if not given")
    add("--root", type=Path, help="of all data sets [$DETECTRON2_DATASETS]")
    add("--sample", type=int, help="random pairs of each split to check")
    add("--subset", action="store_true", help="a smaller or resized copy is intended")
    add("--overlays", type=Path, help="folder for overlays of some random labels")
    add("--seed", type=int, default=0, help="of --sample and --overlays")
    add("--workers", type=int, default=os.cpu_count(), help="reading threads")
    return parser


if __name__ == "__main__":
    parser().parse_args()  # first: the imports below take seconds

from langdg_d2.data.checks import CopyCheck, shares_table
from langdg_d2.data.datasets import datasets_root
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable
from langdg_d2.visualization import write_label_overlays


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 if it makes no sense."""
    args = parser().parse_args(arguments)
    error = parser().error
    args.root = args.root or datasets_root()
    if args.name != ALL and args.name not in FAMILIES:
        error(f"no data set '{args.name}'; there are {', '.join(FAMILIES)}, and {ALL}")
    if not args.root.is_dir():
        error(f"'{args.root}' is not a folder; pass --root or set DETECTRON2_DATASETS")
    known = {s for f in FAMILIES.values() if args.name in (ALL, f.name) for s in f.splits}
    if unknown := set(args.split or ()) - known:
        error(f"{args.name} has no split {sorted(unknown)}; it has {sorted(known)}")
    if min(args.workers, 1 if args.sample is None else args.sample) < 1:
        error("--workers and --sample must be 1 or more")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, and return the exit code."""
    args = parse(arguments)
    with report_errors():
        if args.overlays is not None:
            require_writable(args.overlays)
        return check_copies(args)


def check_copies(args: argparse.Namespace) -> int:
    """What the command does; returns the exit code."""
    check = CopyCheck(
        root=args.root,
        subset=args.subset,
        sample=args.sample,
        seed=args.seed,
        workers=args.workers,
    )
    absent, found, there = [], False, False
    for family in FAMILIES.values() if args.name == ALL else [FAMILIES[args.name]]:
        splits = [split for split in family.splits if args.split is None or split in args.split]
        reports = [check.check(family, split) for split in splits]
        if args.split is None:  # many leave out the images that have no labels
            unlabeled = {family.registered_name(split) for split in family.unlabeled}
            reports = [
                report for report in reports if report.listed or report.name not in unlabeled
            ]
        if args.name == ALL and reports and all(report.absent for report in reports):
            absent.append(
                f"  {family.name}: no {reports[0].absent}; it comes from {family.website}"
            )
            continue
        for report in reports:
            print(report.text(), end="\n\n")
            found |= not report.is_good
            if args.overlays is not None:
                write_label_overlays(
                    report.records,
                    dataset_name=report.name,
                    folder=args.overlays,
                    count=OVERLAYS,
                    seed=args.seed,
                )
        there |= bool(reports)
        if table := shares_table(reports):
            print(table, end="\n\n")
    if absent:
        print("Not on this disk:", *absent, sep="\n")
    if not there:
        print(
            f"no data set in '{args.root}'; pass --root or set DETECTRON2_DATASETS", file=sys.stderr
        )
        return 2
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
