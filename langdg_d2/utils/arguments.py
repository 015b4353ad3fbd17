"""Command-line parsers. This module does not import torch, so that `--help` is fast."""

from argparse import REMAINDER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

# Choices of `visualization`, which takes seconds to import.
VIEWS = ("image", "overlay", "colors", "confidence", "entropy")
PALETTES = ("classes", "colorblind")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def command_parser(description: str | None) -> ArgumentParser:
    """Return a parser whose `--help` begins with a command's docstring, verbatim."""
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def argument_parser(description: str | None = None, *, trains: bool = True) -> ArgumentParser:
    """Return Detectron2's `default_argument_parser` with `--overwrite` and a free port by default.

    Args:
        description: text of `--help`.
        trains: add the training options `--resume`, `--overwrite` and `--eval-only`.
    """
    parser = command_parser(description)
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="LazyConfig file")
    if trains:
        earlier = parser.add_mutually_exclusive_group().add_argument
        earlier("--resume", action="store_true", help="continue the run in train.output_dir")
        earlier("--overwrite", action="store_true", help="replace the run in train.output_dir")
        add("--eval-only", action="store_true", help="evaluate a checkpoint without training")
    parser.set_defaults(resume=False, overwrite=False, eval_only=False)
    add("--num-gpus", type=int, default=1, metavar="N", help="GPUs per machine; 0 for the CPU [1]")
    add("--num-machines", type=int, default=1, metavar="N", help="number of machines [1]")
    add("--machine-rank", type=int, default=0, metavar="K", help="rank of this machine, from 0 [0]")
    add("--dist-url", default="auto", metavar="URL", help="rendezvous URL for several machines")
    add("opts", nargs=REMAINDER, metavar="KEY=VALUE", help="config overrides, after all options")
    return parser


def parse_with_predictors(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """Add the options that select checkpoints and parse the command line.

    Args:
        parser: parser with the other options of the command. It exits if the numbers of names or
            configs do not match the number of checkpoints.
        arguments: command line; None for `sys.argv`.
    """
    add = parser.add_argument_group("checkpoints").add_argument
    add(
        "--config-file", nargs="+", metavar="FILE",
        help="one config for all checkpoints, or one each; model.safetensors needs none",
    )  # fmt: skip
    add("--checkpoint", required=True, nargs="+", metavar="FILE", help="checkpoints to load")
    add("--names", nargs="+", metavar="NAME", help="names of the checkpoints [file names]")
    add("--palette", choices=PALETTES, default="classes", help="palette [classes]")
    add(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="precision [auto: half precision on GPUs]",
    )
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="config overrides")
    args = parser.parse_args(arguments)
    count = len(args.checkpoint)
    if args.names and len(args.names) != count:
        parser.error(f"{len(args.names)} names for {count} checkpoints")
    if args.opts and not args.config_file:
        parser.error("--opts overrides a config: pass --config-file")
    if args.config_file and len(args.config_file) not in (1, count):
        parser.error(f"{len(args.config_file)} configs for {count} checkpoints")
    return args
