"""Generate driving scenes with exact labels, in the on-disk layouts of GTA5, Cityscapes and ACDC.

Example:
    python projects/streets/generate.py --output datasets --size 256x512 --workers 2
"""

import argparse
import re
import sys
import time
from pathlib import Path

import cv2
from streets.collection import Settings, generate
from streets.contact_sheet import contact_sheet
from streets.files import write_whole


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2])


def argument_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="folder of the data sets (gta5, cityscapes, …)")
    add("--size", type=_size, default=(256, 512), metavar="HxW", help="of images [256x512]")
    add("--train", type=int, default=200, metavar="N", help="source training scenes [200]")
    add("--val", type=int, default=40, metavar="N", help="source validation scenes [40]")
    add("--targets", type=int, default=40, metavar="N", help="validation scenes a target [40]")
    add("--target-train", type=int, default=0, metavar="N", help="training scenes a target [0]")
    add("--seed", type=int, default=0, help="another seed makes other scenes [0]")
    add("--workers", type=int, default=2, metavar="N", help="processes [2]")
    add("--overwrite", action="store_true", help="replace scenes made with other settings")
    add("--contact-sheet", type=Path, metavar="PNG", help="only draw an overview of all looks")
    add("--scenes", type=int, default=4, metavar="N", help="rows of the overview [4]")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argument_parser()
    options = parser.parse_args(arguments)
    if options.contact_sheet:
        sheet = contact_sheet(seed=options.seed, size=options.size, scenes=options.scenes)
        write_whole(options.contact_sheet, cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
        return
    if options.output is None:
        parser.error("--output is required (or --contact-sheet)")
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
        )
        drawn = generate(
            options.output, settings, workers=options.workers, overwrite=options.overwrite
        )
    except (ValueError, FileExistsError) as error:
        sys.exit(f"error: {error}")
    print(f"{drawn} scenes in {time.perf_counter() - started:.1f} s under {options.output}")


if __name__ == "__main__":
    main()
