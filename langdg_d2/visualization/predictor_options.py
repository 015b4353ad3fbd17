"""How commands are told which checkpoints to predict with, and in which colours to draw."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from .palettes import PALETTES, palette_named
from .predictor import PRECISIONS, Predictor, load_predictors


def parse_with_predictors(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """Parse a command's options and those of its checkpoints, which are added here.

    Args:
        parser: with the command's own options; ends the process where there are not as many names
            or configs as checkpoints.
        arguments: None for the process's own.
    """
    add = parser.add_argument_group("checkpoints").add_argument
    add(
        "--config-file", required=True, nargs="+", metavar="FILE",
        help="of all checkpoints, or one for each",
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
    if len(args.config_file) not in (1, count):
        parser.error(f"{len(args.config_file)} configs for {count} checkpoints")
    return args


def predictors_of(args: Namespace) -> dict[str, Predictor]:
    """Load what `parse_with_predictors` was told, see `load_predictors`.

    Raises:
        ValueError: as that, or if the classes lack the palette.
    """
    settings = {"overrides": args.opts, "precision": args.precision}
    predictors = load_predictors(args.config_file, args.checkpoint, args.names, **settings)
    palette_named(args.palette, next(iter(predictors.values())).classes)
    return predictors
