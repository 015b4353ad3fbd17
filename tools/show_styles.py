#!/usr/bin/env python
"""Show what is in a style bank: pictures as PNG files and all of it in one HTML page.

    python tools/show_styles.py output/langdg_gta5/style_bank.safetensors --output output/styles
    python tools/show_styles.py BANK --output output/styles --config-file configs/langdg_gta5.py

How many styles there are by class and prompt, how close mining brought patches to their texts, and
the styles in a plane. With the config it was mined with also the source patches whose own
statistics lie nearest to styles: to the most typical style of each class, to those of `--styles`,
or to `--styles all`.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from detectron2.config import instantiate
from torch.utils.data import DataLoader
from tqdm import tqdm

from langdg_d2.engine import load_config
from langdg_d2.structures import classes_named
from langdg_d2.styles import StyleBank, StyleBankError
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable
from langdg_d2.visualization.palettes import PALETTES, palette_named
from langdg_d2.visualization.styles import (
    METHODS,
    PatchReader,
    SourcePatch,
    nearest_patches,
    typical_styles,
    write_style_report,
)


def style_number(text: str) -> int | None:
    """Of "17"; None for "all"."""
    return None if text == "all" else int(text)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("bank", metavar="BANK", help="file of tools/mine_styles.py or tools/train_net.py")
    add("--output", type=Path, required=True, metavar="FOLDER", help="for styles.html and pictures")
    add("--projection", choices=METHODS, default="pca", help="tsne needs scikit-learn [pca]")
    add("--palette", choices=PALETTES, default="classes", help="colours [of the classes]")
    add("--config-file", metavar="FILE", help="look for the nearest patches in its source set")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
    add("--styles", nargs="+", type=style_number, metavar="N", help="from 0, or all")
    add("--nearest", type=int, default=6, metavar="N", help="patches for each style [6]")
    add("--any-class", action="store_true", help="patches of other classes than the style's, too")
    add("--batches", type=int, metavar="N", help="look at so many random batches [all]")
    args = parser.parse_args(arguments)
    if args.config_file is None and (args.opts or args.styles or args.any_class or args.batches):
        parser.error("--opts, --styles, --any-class and --batches need --config-file")
    if args.projection == "tsne" and find_spec("sklearn") is None:
        parser.error("--projection tsne needs scikit-learn: pip install scikit-learn")
    if min(args.nearest, 1 if args.batches is None else args.batches) < 1:
        parser.error("--nearest and --batches must be 1 or more")
    return args


def chosen_styles(bank: StyleBank, rows: Sequence[int | None] | None) -> list[int]:
    """The rows asked for, all for None among them; by default the typical style of each class."""
    if rows is None:
        return typical_styles(bank)
    if None in rows:
        return list(range(len(bank)))
    if strange := [row for row in rows if not 0 <= row < len(bank)]:
        raise StyleBankError(
            f"the style bank has no styles {strange}; it has {len(bank)}, 0 to {len(bank) - 1}"
        )
    return list(dict.fromkeys(rows))


def nearest(bank: StyleBank, args: argparse.Namespace) -> dict[int, list[SourcePatch]]:
    """The source patches that lie nearest to the chosen styles."""
    rows = chosen_styles(bank, args.styles)
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
        rows=rows,
        reader=reader,
        count=args.nearest,
        own_class=not args.any_class,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the bank, look for patches, write the page."""
    args = parse(arguments)
    with report_errors():
        require_writable(args.output)
        bank = StyleBank.load(args.bank)
        page = write_style_report(
            bank,
            args.output,
            name=Path(args.bank).name,
            palette=palette_named(args.palette, classes_named(bank.header.class_names)),
            projection=args.projection,
            nearest=nearest(bank, args) if args.config_file and len(bank) else None,
            own_class=not args.any_class,
        )
    print(f"{bank.describe()}\n{len(bank)} styles: '{page}'")


if __name__ == "__main__":
    main()
