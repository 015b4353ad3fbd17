#!/usr/bin/env python
"""Print what the project knows of data sets, label maps and corruptions, as Markdown.

python tools/describe_datasets.py --output docs/label_maps.md
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from langdg_d2.data.label_map_tables import describe
from langdg_d2.structures.files import write_atomically


def main(args: Namespace) -> None:
    """Print the document, or write it to `args.output`."""
    if args.output is None:
        print(describe(), end="")
    else:
        write_atomically(args.output, describe().encode())


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    main(parser.parse_args())
