#!/usr/bin/env python
"""Copy a data set with uncompressed RGB PNG images, which load faster.

    python tools/uncompress_images.py datasets/gta5 --output fast/gta5

Layout, names, pixels and modification times stay the same; every copied image is read back and
compared. All other files are copied unchanged. Copies with the modification time of their source
are kept, so an interrupted command can be continued, and replaced files are copied again.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; invalid options exit with 2."""
    parser = command_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the copy"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="reader threads [number of cores]"
    )
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
    """Copy a file unless it is up to date; return whether an image was stored uncompressed."""
    target = output / file.relative_to(source)
    if target.exists() and target.stat().st_mtime_ns == file.stat().st_mtime_ns:
        return False
    return copy_uncompressed(file, target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy all files and print a summary."""
    args = parse(arguments)
    folders = folders_below(args.source)  # image folders are often links
    files = sorted(path for folder in folders for path in folder.iterdir() if not path.is_dir())
    work = partial(copy, args.source, args.output)
    with report_errors(), ThreadPoolExecutor(args.workers) as pool:
        require_writable(args.output)
        images = sum(tqdm(pool.map(work, files), total=len(files), unit="file"))
    print(f"{args.output}: {len(files)} files, {images} images newly stored without compression")


if __name__ == "__main__":
    main()
