"""Which checkpoints to predict with, and in which colours to draw, as commands are given it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..utils.errors import LangDGError
from .palettes import PALETTES, palette_named
from .predictor import PRECISIONS, Predictor


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
    """Load what the options name, see `load_predictors`.

    Raises:
        LangDGError: as that, or if the classes lack the palette.
    """
    settings = {"overrides": args.opts, "precision": args.precision}
    predictors = load_predictors(args.config_file, args.checkpoint, args.names, **settings)
    palette_named(args.palette, next(iter(predictors.values())).classes)
    return predictors


def model_names(checkpoints: Sequence[str]) -> list[str]:
    """Short names that tell checkpoints apart: of their files, else of the folders, else paths.

    Raises:
        LangDGError: if a checkpoint is named twice.
    """
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    if len(set(paths)) < len(paths):
        raise LangDGError(f"a checkpoint is given twice: {', '.join(checkpoints)}")
    for names in ([path.stem for path in paths], [path.parent.name for path in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return list(map(str, paths))


def load_predictors(
    config_files: Sequence[str],
    checkpoints: Sequence[str],
    names: Sequence[str] | None = None,
    **settings: Any,
) -> dict[str, Predictor]:
    """Predictors by name, to be compared.

    Args:
        config_files: LazyConfig file of all, or one for each. They are Python code: use only those
            you trust.
        checkpoints: files of weights.
        names: of the checkpoints; `model_names` of their files if None.
        settings: further arguments of `Predictor.from_config`.

    Raises:
        LangDGError: if there are not as many different names as checkpoints, or as many configs; if
            the checkpoints have other classes, which one legend could not name.
    """
    if len(config_files) == 1:
        config_files = [*config_files] * len(checkpoints)
    names = model_names(checkpoints) if names is None else names
    if not len(names) == len(set(names)) == len(checkpoints):
        raise LangDGError(
            f"names {', '.join(names)} for {len(checkpoints)} checkpoints, expected one for each, "
            "no two alike"
        )
    predictors = {
        name: Predictor.from_config(config, checkpoint, **settings)
        for name, config, checkpoint in zip(names, config_files, checkpoints, strict=True)
    }
    (first, one), *others = predictors.items()
    for name, other in others:
        if other.classes.names != one.classes.names:
            raise LangDGError(
                f"'{first}' and '{name}' have other classes, {_listed(one)} and {_listed(other)}: "
                "show them one at a time"
            )
    return predictors


def _listed(predictor: Predictor) -> str:
    first, rest = predictor.classes.names[:3], len(predictor.classes) - 3
    return ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
