#!/usr/bin/env python
"""Convert files of the official FAMix release to this project's format; --reverse converts back.

Convert and evaluate a checkpoint:

    python projects/famix/import_famix.py --config-file configs/langdg_gta5.py \\
        --checkpoint best.pth --output ours.pth
    python tools/train_net.py --config-file configs/langdg_gta5.py --eval-only \\
        train.init_checkpoint=ours.pth

Convert a style bank and train with it:

    python projects/famix/import_famix.py --config-file configs/langdg_gta5.py \\
        --style-bank saved_params.pkl --clip-from best.pth --output styles.safetensors
    python tools/train_net.py --config-file configs/langdg_gta5.py styles.bank=styles.safetensors

Nothing in the files is executed. `key=value` after the options overrides the config.
"""

import logging
from argparse import REMAINDER, Namespace
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: list[str] | None) -> Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--config-file", required=True, help="config with the same backbone and classes"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", metavar="FILE", help=".pth file to convert")
    what.add_argument("--style-bank", metavar="FILE", help="saved_params.pkl to convert")
    parser.add_argument("--output", metavar="FILE", required=True, help="new file")
    parser.add_argument(
        "--clip-from",
        metavar="FILE",
        help="official .pth whose frozen layers were used to mine --style-bank [the config's CLIP]",
    )
    parser.add_argument("--reverse", action="store_true", help="convert to the official format")
    parser.add_argument("opts", nargs=REMAINDER, metavar="key=value", help="config overrides")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from detectron2.config import instantiate
from official_release import (
    from_official,
    official_header,
    read_official_bank,
    to_official,
    write_official_bank,
)
from omegaconf import DictConfig
from torch import nn

from langdg_d2.engine import load_config
from langdg_d2.modeling.checkpoint_files import read_checkpoint, write_weights
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable

OURS, THEIRS = "model", "model_state"  # keys of the weights in checkpoints


def build_without_weights(cfg: DictConfig) -> nn.Module:
    """Build the model only for its shapes, without loading CLIP's weights."""
    cfg.model.backbone.tower.weights = None
    logging.disable(logging.WARNING)  # about random weights
    model = instantiate(cfg.model)
    logging.disable(logging.NOTSET)
    return model


def convert_checkpoint(cfg: DictConfig, args: Namespace) -> None:
    """Rename a checkpoint's weights."""
    convert = to_official if args.reverse else from_official
    old, new = (OURS, THEIRS) if args.reverse else (THEIRS, OURS)
    weights = read_checkpoint(args.checkpoint, weights=old)[old]
    converted = convert(weights, model_state=build_without_weights(cfg).state_dict())
    write_weights(args.output, converted, entry=new)
    print(f"{len(converted)} weights of '{args.checkpoint}' are in '{args.output}'")


def convert_style_bank(cfg: DictConfig, args: Namespace) -> None:
    """Convert a style bank to the other format."""
    if args.reverse:
        bank = StyleBank.load(args.style_bank)
        write_official_bank(args.output, bank)
    else:
        header = official_header(
            backbone=clip_of_the_styles(cfg, args.clip_from).backbone,
            clip_name=cfg.model.backbone.tower.name,
            source=cfg.styles.mining.origin.source,
            imported_from=Path(args.style_bank).name,
        )
        bank = read_official_bank(args.style_bank, header=header)
        bank.save(args.output)
    print(f"{bank.describe()}\n{len(bank)} styles of '{args.style_bank}' are in '{args.output}'")


def clip_of_the_styles(cfg: DictConfig, checkpoint: str | None) -> nn.Module:
    """Build the model with the CLIP weights that the styles were mined with."""
    if checkpoint is None:
        return instantiate(cfg.model)
    model = build_without_weights(cfg)
    weights = read_checkpoint(checkpoint, weights=THEIRS)[THEIRS]
    model.load_state_dict(from_official(weights, model_state=model.state_dict()))
    return model


def main(arguments: list[str] | None = None) -> None:
    """Convert one file."""
    args = parse(arguments)
    with report_errors():
        if Path(args.output).exists():
            raise FileExistsError(f"'{args.output}' exists; delete it or choose another --output")
        require_writable(Path(args.output).parent)
        cfg = load_config(args.config_file, args.opts)
        (convert_checkpoint if args.checkpoint else convert_style_bank)(cfg, args)


if __name__ == "__main__":
    main()
