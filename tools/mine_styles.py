#!/usr/bin/env python
"""Mine the style bank of a config's source set, and write it to `styles.bank`.

    python tools/mine_styles.py --config-file configs/langdg_gta5.py --num-gpus 8

After an interruption, the same command continues where it stopped.
"""

from argparse import Namespace
from pathlib import Path

from langdg_d2.engine import argument_parser, compose, launch, require_patches, setup, start_run
from langdg_d2.utils.distributed import of_main_process
from langdg_d2.utils.errors import LangDGError


def main(args: Namespace) -> None:
    """Run in every process."""
    if args.resume or args.eval_only:
        raise LangDGError(
            "--resume and --eval-only are options of training: the same command goes on with an "
            "unfinished bank"
        )
    cfg = setup(args)
    if cfg.styles.bank is None:
        raise LangDGError(
            f"styles.bank is null in '{args.config_file}': its training needs no mined styles; "
            "pass styles.bank=FILE to mine them all the same"
        )
    if of_main_process(Path(cfg.styles.bank).exists):
        raise FileExistsError(
            f"there is a style bank at '{cfg.styles.bank}'; delete it to mine again, or pass "
            "styles.bank=FILE to mine another"
        )
    mining = compose(cfg, "styles.mining")
    require_patches(cfg, mining.miner.backbone)
    start_run(cfg, args)
    mining.run()


def cli() -> None:
    """Run the command with the process's own arguments."""
    launch(main, argument_parser().parse_args())


if __name__ == "__main__":
    cli()
