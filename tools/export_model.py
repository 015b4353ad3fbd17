#!/usr/bin/env python
"""Export a trained model to files that run without this project, and check their outputs.

    python tools/export_model.py --config-file configs/langdg_gta5.py \\
        --checkpoint model_final.pth --output exported
    python tools/export_model.py --config-file configs/langdg_gta5.py \\
        --checkpoint model_final.pth --output exported --format onnx --result classes

Formats are `onnx` and `pt2` (`torch.export`). The exported model takes `images`, (N, 3, H, W) uint8
RGB of any number, height and width, and normalises them. It returns `logits`, (N, classes, H, W)
float32, or `classes`, (N, H, W) uint8 train ids. The metadata of the file describes this. Only
single-scale inference on whole images can be exported; any other `evaluation.inference` is refused.

Every file is loaded and compared with the model on the CPU. If their outputs differ by more than
rounding, the exit code is 1 and the file keeps the name NAME.unverified.SUFFIX.
"""

import argparse
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from langdg_d2.utils.arguments import command_parser

SIZES = ((256, 512), (250, 333), (211, 97))


def image_size(text: str) -> tuple[int, int]:
    """Parse a size such as "512x1024" into height and width."""
    if not (match := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size, expected HEIGHTxWIDTH")
    return int(match[1]), int(match[2])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add(
        "--config-file",
        metavar="FILE",
        help="config of the checkpoint; model.safetensors needs none",
    )
    add("--checkpoint", required=True, metavar="FILE", help="checkpoint to export")
    add(
        "--output", required=True, type=Path, metavar="FOLDER", help="folder for the exported files"
    )
    add("--format", nargs="+", choices=("pt2", "onnx"), default=["pt2", "onnx"], help="[all]")
    add(
        "--result",
        choices=("logits", "classes"),
        default="logits",
        help="output of the model [logits]",
    )
    sizes = " ".join(f"{height}x{width}" for height, width in SIZES)
    add(
        "--sizes",
        nargs="+",
        type=image_size,
        default=SIZES,
        metavar="HxW",
        help=f"sizes to check [{sizes}]",
    )
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="config overrides")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from langdg_d2.export import (
    FORMATS,
    describe,
    export_segmentor,
    load_segmentor,
    parity_table,
    publish,
)
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable


def export(args: argparse.Namespace) -> list[Path]:
    """Export the model, print the comparison and return the files."""
    formats = list(dict.fromkeys(args.format))
    for name in formats:
        *_, modules = FORMATS[name]
        if missing := [module for module in modules if find_spec(module) is None]:
            raise ImportError(
                f"format '{name}' needs {', '.join(missing)}: pip install -e \".[export]\""
            )
    require_writable(args.output)
    model = load_segmentor(args.config_file, args.checkpoint, args.opts)
    metadata = describe(
        model, result=args.result, config_file=args.config_file, checkpoint=args.checkpoint
    )
    path = args.output / Path(args.checkpoint).stem
    exports = export_segmentor(model, path, formats=formats, metadata=metadata, sizes=args.sizes)
    print(parity_table(exports))
    publish(exports)
    return [one.path for one in exports]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse(arguments)
    with report_errors():
        files = export(args)
    for file in files:
        print(f"written: '{file}'")


if __name__ == "__main__":
    main()
