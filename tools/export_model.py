#!/usr/bin/env python
"""Export a trained model to files that run without this project, and compare them with it.

    python tools/export_model.py --config-file configs/langdg_gta5.py \\
        --checkpoint model_final.pth --output exported
    python tools/export_model.py --config-file configs/langdg_gta5.py \\
        --checkpoint model_final.pth --output exported --format onnx --result classes

Formats are `onnx` and `pt2` (`torch.export`). Files take `images`, (N, 3, H, W) uint8 RGB of any
number, height and width, normalise them and give `logits`, (N, classes, H, W) float32, or
`classes`, (N, H, W) uint8 train ids; their metadata describes all of this. They see whole images
once; any other `evaluation.inference` is refused.

Every file is opened and run beside the model on the CPU. If they differ by more than rounding, the
exit code is 1 and the file keeps the name NAME.unverified.SUFFIX.
"""

import argparse
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from langdg_d2.utils.arguments import command_parser

SIZES = ((256, 512), (250, 333), (211, 97))


def image_size(text: str) -> tuple[int, int]:
    """Height and width of "512x1024"."""
    if not (match := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size, expected HEIGHTxWIDTH")
    return int(match[1]), int(match[2])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--config-file", metavar="FILE", help="of the checkpoint; model.safetensors needs none")
    add("--checkpoint", required=True, metavar="FILE", help="its weights")
    add("--output", required=True, type=Path, metavar="FOLDER", help="for files named like it")
    add("--format", nargs="+", choices=("pt2", "onnx"), default=["pt2", "onnx"], help="[all]")
    add(
        "--result", choices=("logits", "classes"), default="logits", help="what files give [logits]"
    )
    sizes = " ".join(f"{height}x{width}" for height, width in SIZES)
    add("--sizes", nargs="+", type=image_size, default=SIZES, metavar="HxW", help=f"[{sizes}]")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
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
    """Export and print the comparison; returns the files."""
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
