"""Command lines. Nothing here imports torch, so that commands answer `--help` at once."""

from argparse import REMAINDER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

# Choices of `visualization`, whose import takes seconds.
VIEWS = ("image", "overlay", "colors", "confidence", "entropy")
PALETTES = ("classes", "colorblind")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def command_parser(description: str | None) -> ArgumentParser:
    """A parser whose `--help` begins with a command's docstring, as it is written."""
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def argument_parser(description: str | None = None, *, trains: bool = True) -> ArgumentParser:
    """Detectron2's `default_argument_parser` with `--overwrite` and a free port by default.

    Args:
        description: text of `--help`.
        trains: have the options of training, `--resume`, `--overwrite` and `--eval-only`.
    """
    parser = command_parser(description)
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="LazyConfig file")
    if trains:
        earlier = parser.add_mutually_exclusive_group().add_argument
        earlier("--resume", action="store_true", help="continue the run in train.output_dir")
        earlier("--overwrite", action="store_true", help="replace the run in train.output_dir")
        add("--eval-only", action="store_true", help="score a checkpoint without training")
    parser.set_defaults(resume=False, overwrite=False, eval_only=False)
    add("--num-gpus", type=int, default=1, metavar="N", help="processes on each machine [1]")
    add("--num-machines", type=int, default=1, metavar="N", help="[1]")
    add("--machine-rank", type=int, default=0, metavar="K", help="of this machine, from 0 [0]")
    add("--dist-url", default="auto", metavar="URL", help="where several machines meet")
    add("opts", nargs=REMAINDER, metavar="KEY=VALUE", help="changes of the config, at the end")
    return parser


def parse_with_predictors(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """Parse a command's options and those of its checkpoints, which are added here.

    Args:
        parser: with the command's own options; ends the process where there are not as many names
            or configs as checkpoints.
        arguments: None for the process's own.
    """
    add = parser.add_argument_group("checkpoints").add_argument
    add(
        "--config-file", nargs="+", metavar="FILE",
        help="of all checkpoints, or one for each; model.safetensors needs none",
    )  # fmt: skip
    add("--checkpoint", required=True, nargs="+", metavar="FILE", help="one or several")
    add("--names", nargs="+", metavar="NAME", help="of the checkpoints [of their files]")
    add("--palette", choices=PALETTES, default="classes", help="colours [of the classes]")
    add("--precision", choices=PRECISIONS, default="auto", help="[auto: half on GPUs]")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
    args = parser.parse_args(arguments)
    count = len(args.checkpoint)
    if args.names and len(args.names) != count:
        parser.error(f"{len(args.names)} names for {count} checkpoints")
    if args.opts and not args.config_file:
        parser.error("--opts changes a config: pass --config-file")
    if args.config_file and len(args.config_file) not in (1, count):
        parser.error(f"{len(args.config_file)} configs for {count} checkpoints")
    return args
