#!/usr/bin/env python
"""Average several runs of one config and compare them with the published figures.

    python tools/summarize_runs.py output/seed1 output/seed2 output/seed3 --output seeds.md

The command reads the benchmark.json files that training and `train_net.py --eval-only` write to
their output folders, and prints the means and standard deviations. `--output FILE.md` writes them
to FILE.md and, unrounded, to FILE.csv.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="OUT_DIR", help="output folder of a run")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.md", help="file to write instead of printing"
    )
    args = parser.parse_args(arguments)
    if args.output and args.output.suffix != ".md":
        parser.error(f"--output {args.output}: expected a name that ends in .md")
    if len(set(args.runs)) < len(args.runs):
        parser.error("a run is given twice")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from langdg_d2.evaluation import (
    read_benchmark,
    summarize_runs,
    summary_csv,
    summary_markdown,
)
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import write_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse(arguments)
    with report_errors():
        summary = summarize_runs({run: read_benchmark(run) for run in args.runs})
        if args.output is None:
            print(summary_markdown(summary), end="")
            return
        write_text(args.output, summary_markdown(summary))
        write_text(args.output.with_suffix(".csv"), summary_csv(summary))


if __name__ == "__main__":
    main()
