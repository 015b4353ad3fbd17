#!/usr/bin/env python
"""Check that the data sets on disk are complete and readable, and name those that are missing.

    python tools/check_dataset.py cityscapes
    python tools/check_dataset.py all --sample 200 --overlays output/overlays

The command looks below $DETECTRON2_DATASETS or `--root`. It reads every image and label, or a
random sample with `--sample`. Exit code: 0 without problems, 1 with problems, 2 for invalid usage
or no data.
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
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("name", metavar="NAME", help=f"data set, such as cityscapes, or {ALL}")
    add("--split", nargs="+", help="splits to check [all]")
    add("--root", type=Path, help="root folder of the data sets [$DETECTRON2_DATASETS]")
    add("--sample", type=int, help="number of random image-label pairs to check per split [all]")
    add("--subset", action="store_true", help="accept a smaller or resized copy")
    add("--overlays", type=Path, help="folder to write overlays of random labels to")
    add("--seed", type=int, default=0, help="seed of --sample and --overlays [0]")
    add("--workers", type=int, default=os.cpu_count(), help="reader threads [number of cores]")
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
    """Parse the command line; invalid options exit with 2."""
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
    """Run the command and return its exit code."""
    args = parse(arguments)
    with report_errors():
        if args.overlays is not None:
            require_writable(args.overlays)
        return check_copies(args)


def check_copies(args: argparse.Namespace) -> int:
    """Check the data sets and print the reports; return the exit code."""
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
        if args.split is None:  # unlabelled images are optional
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
