#!/usr/bin/env python
"""Write the report of a run, an HTML page that works offline.

    python tools/write_report.py output/langdg_gta5

Training and `train_net.py --eval-only` already write it. This command reads the benchmark.json,
details.json, images.csv, metrics.json and overlays in the output folder and omits sections whose
files are missing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="output folder of a run")
    parser.add_argument("--output", type=Path, metavar="FILE.html", help="[FOLDER/report.html]")
    args = parser.parse_args(arguments)
    if args.output and args.output.suffix != ".html":
        parser.error(f"--output {args.output}: expected a name that ends in .html")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from langdg_d2.utils.errors import report_errors
from langdg_d2.visualization import write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse(arguments)
    with report_errors():
        print(write_report(args.folder, args.output))


if __name__ == "__main__":
    main()
