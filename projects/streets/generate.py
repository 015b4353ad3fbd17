"""Generate driving scenes with exact labels in the on-disk formats of well-known data sets.

Examples:
    python projects/streets/generate.py --output datasets --size 256x512 --workers 2
    python projects/streets/generate.py --output datasets --looks fog,night --validation
"""

import argparse
import re
import sys
import time
from pathlib import Path

import cv2
from streets.collection import Settings, generate
from streets.contact_sheet import contact_sheet
from streets.domains import TARGET_LOOKS, VALIDATION_LOOKS
from streets.looks import LOOKS

from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_atomically


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2])


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in text.split(",") if name))


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="folder of the data sets (gta5, cityscapes, …)")
    add(
        "--size", type=_size, default=(256, 512), metavar="HxW", help="size of the images [256x512]"
    )
    add("--train", type=int, default=200, metavar="N", help="source training scenes [200]")
    add("--val", type=int, default=40, metavar="N", help="source validation scenes [40]")
    add("--targets", type=int, default=40, metavar="N", help="validation scenes per target [40]")
    add("--target-train", type=int, default=0, metavar="N", help="training scenes per target [0]")
    add("--looks", type=_names, metavar="A,B", help=f"target looks [{','.join(TARGET_LOOKS)}]")
    also = ", ".join(VALIDATION_LOOKS)
    add(
        "--validation",
        action="store_true",
        help=f"also write the looks for choosing hyperparameters: {also}",
    )
    add("--seed", type=int, default=0, help="seed of the scenes [0]")
    add("--workers", type=int, default=2, metavar="N", help="worker processes [2]")
    add("--overwrite", action="store_true", help="replace scenes made with other settings")
    add("--contact-sheet", type=Path, metavar="PNG", help="only draw an overview of all looks")
    add("--scenes", type=int, default=4, metavar="N", help="rows of the overview [4]")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argument_parser()
    options = parser.parse_args(arguments)
    if options.contact_sheet:
        try:
            sheet = contact_sheet(
                looks=tuple(LOOKS) if options.looks is None else ("clear", *options.looks),
                seed=options.seed,
                size=options.size,
                scenes=options.scenes,
            )
            picture = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
            write_atomically(options.contact_sheet, picture)
        except (LangDGError, OSError) as error:
            sys.exit(f"error: {error}")
        return
    if options.output is None:
        parser.error("--output is required (or --contact-sheet)")
    looks = TARGET_LOOKS if options.looks is None else options.looks
    if options.validation:
        looks = tuple(dict.fromkeys((*looks, *VALIDATION_LOOKS)))
    started = time.perf_counter()
    try:
        settings = Settings(
            height=options.size[0],
            width=options.size[1],
            seed=options.seed,
            train=options.train,
            val=options.val,
            targets=options.targets,
            target_train=options.target_train,
            looks=looks,
        )
        drawn = generate(
            options.output, settings, workers=options.workers, overwrite=options.overwrite
        )
    except (LangDGError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{drawn} scenes in {time.perf_counter() - started:.1f} s under {options.output}")


if __name__ == "__main__":
    main()
