#!/usr/bin/env python
"""Copy a data set with its RGB PNG images stored uncompressed, which loaders read faster.

    python tools/uncompress_images.py datasets/gta5 --output fast/gta5

Layout, names, pixels and times stay the same; every copy is read back and compared. All other files
are copied unchanged. Copies of the same time as their file are kept, so an interrupted run can be
continued, and a file that was replaced is copied again.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 if it makes no sense."""
    parser = command_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="of the copy")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="reading threads")
    args = parser.parse_args(arguments)
    if not args.source.is_dir():
        parser.error(f"'{args.source}' is not a folder")
    source, output = args.source.resolve(), args.output.resolve()
    if source == output or source in output.parents:
        parser.error(f"--output '{args.output}' lies in '{args.source}'; choose another folder")
    if not any(source.iterdir()):
        parser.error(f"'{args.source}' is empty")
    if args.workers < 1:
        parser.error("--workers must be 1 or more")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from tqdm import tqdm

from langdg_d2.data import copy_uncompressed
from langdg_d2.data.datasets.folders import folders_below
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable


def copy(source: Path, output: Path, file: Path) -> bool:
    """Copy a file to its place, unless it is there; whether it is an image stored otherwise."""
    target = output / file.relative_to(source)
    if target.exists() and target.stat().st_mtime_ns == file.stat().st_mtime_ns:
        return False
    return copy_uncompressed(file, target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy everything, then say what was done."""
    args = parse(arguments)
    folders = folders_below(args.source)  # those of images are often links
    files = sorted(path for folder in folders for path in folder.iterdir() if not path.is_dir())
    work = partial(copy, args.source, args.output)
    with report_errors(), ThreadPoolExecutor(args.workers) as pool:
        require_writable(args.output)
        images = sum(tqdm(pool.map(work, files), total=len(files), unit="file"))
    print(f"{args.output}: {len(files)} files, {images} images newly stored without compression")


if __name__ == "__main__":
    main()
