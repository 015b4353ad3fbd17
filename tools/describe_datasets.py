#!/usr/bin/env python
"""Print what the project knows of data sets, label maps and corruptions, as Markdown.

python tools/describe_datasets.py --output docs/label_maps.md
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.data.label_map_tables import describe
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import write_atomically


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the document, or write it."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    args = parser.parse_args(arguments)
    with report_errors():
        if args.output is None:
            print(describe(), end="")
        else:
            write_atomically(args.output, describe().encode())


if __name__ == "__main__":
    main()
