#!/usr/bin/env python
"""Show the contents of a style bank as an HTML page and PNG files of its projections.

    python tools/show_styles.py output/langdg_gta5/style_bank.safetensors --output output/styles
    python tools/show_styles.py BANK --output output/styles --config-file configs/langdg_gta5.py

The page shows the number of styles per class, the cosine similarity of patches and texts before and
after mining, and a 2D projection of the styles. With the config used for mining, it also shows the
source patches whose own statistics are nearest to the most typical style of each class.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.utils.arguments import PALETTES, command_parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("bank", metavar="BANK", help="style bank, a .safetensors file")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder for styles.html and pictures",
    )
    add("--palette", choices=PALETTES, default="classes", help="palette [classes]")
    add(
        "--config-file",
        metavar="FILE",
        help="config whose source is searched for the nearest patches",
    )
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="config overrides")
    add("--nearest", type=int, default=6, metavar="N", help="nearest patches per style [6]")
    add("--batches", type=int, metavar="N", help="search only N random batches [all]")
    args = parser.parse_args(arguments)
    if args.config_file is None and (args.opts or args.batches):
        parser.error("--opts and --batches need --config-file")
    if min(args.nearest, 1 if args.batches is None else args.batches) < 1:
        parser.error("--nearest and --batches must be 1 or more")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from detectron2.config import instantiate
from torch.utils.data import DataLoader
from tqdm import tqdm

from langdg_d2.engine import load_config
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable
from langdg_d2.visualization.styles import (
    PatchReader,
    SourcePatch,
    nearest_patches,
    typical_styles,
    write_style_report,
)


def nearest(bank: StyleBank, args: argparse.Namespace) -> dict[int, list[SourcePatch]]:
    """Find the source patches that are nearest to the typical style of each class."""
    cfg = load_config(args.config_file, args.opts)
    mining = cfg.styles.mining
    prompts = mining.miner.prompts
    backbone = instantiate(cfg.model.backbone)
    grid = instantiate(cfg.styles.grid)
    bank.check(
        backbone,
        grid=grid,
        class_names=list(prompts.class_names),
        ignore_label=prompts.ignore_label,
    )
    reader = PatchReader(
        backbone=backbone,
        grid=grid,
        normalize=instantiate(mining.miner.normalize),
        device=cfg.train.device,
    )
    batches = instantiate(mining.batches)
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(len(batches))[: args.batches],  # their order is random
        num_workers=mining.num_workers,
        collate_fn=list,
    )
    return nearest_patches(
        bank,
        tqdm(loader, desc="comparing patches", unit="batch", disable=None),
        rows=typical_styles(bank),
        reader=reader,
        count=args.nearest,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the bank, find the nearest patches and write the page."""
    args = parse(arguments)
    with report_errors():
        require_writable(args.output)
        bank = StyleBank.load(args.bank)
        page = write_style_report(
            bank,
            args.output,
            name=Path(args.bank).name,
            palette=args.palette,
            nearest=nearest(bank, args) if args.config_file and len(bank) else None,
        )
    print(f"{bank.describe()}\n{len(bank)} styles: '{page}'")


if __name__ == "__main__":
    main()
