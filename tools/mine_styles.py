#!/usr/bin/env python
"""Mine the style bank of a config and write it to `styles.bank`.

    python tools/mine_styles.py --config-file configs/langdg_gta5.py --num-gpus 8

If the command was interrupted, run it again to continue.
"""

from langdg_d2.utils.arguments import argument_parser

if __name__ == "__main__":
    ARGUMENTS = argument_parser(__doc__, trains=False).parse_args()  # before the slow imports

from argparse import Namespace
from pathlib import Path

from langdg_d2.engine import compose, launch, require_patches, setup, start_run
from langdg_d2.utils.distributed import of_main_process
from langdg_d2.utils.errors import LangDGError


def main(args: Namespace) -> None:
    """Run the command in every process."""
    cfg = setup(args)
    if cfg.styles.bank is None:
        raise LangDGError(
            f"styles.bank is null in '{args.config_file}', because its training needs no mined "
            "styles; pass styles.bank=FILE to mine them anyway"
        )
    if of_main_process(Path(cfg.styles.bank).exists):
        raise FileExistsError(
            f"there is already a style bank at '{cfg.styles.bank}'; delete it to mine again, or "
            "pass styles.bank=FILE to write another"
        )
    mining = compose(cfg, "styles.mining")
    require_patches(cfg, mining.miner.backbone)
    # Beside the bank, because the folder may hold a run that was trained otherwise.
    cfg.train.output_dir = str(Path(cfg.styles.bank).parent)
    start_run(cfg, args)
    mining.run()


if __name__ == "__main__":
    launch(main, ARGUMENTS)
