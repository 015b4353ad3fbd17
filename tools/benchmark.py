#!/usr/bin/env python
"""Time training, mining, inference or loading, phase by phase, on this machine.

    python tools/benchmark.py train --config-file configs/langdg_gta5.py --baseline
    python tools/benchmark.py infer --config-file configs/langdg_gta5.py --size 1024x2048
    python tools/benchmark.py train --config-file configs/langdg_gta5.py \
        --vary dataloader.crop_size=[512,512] [768,768]

Inputs and weights are random numbers, but for `loader`, which reads the config's source set.
`--baseline` puts the plain float32 path beside it, `--without` a variant that lacks one of the
faster paths. Every `--vary` draws a curve over a key, `--processes 1 2 4` one over processes.
`key=value` after `--opts` changes the config of all.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from langdg_d2.benchmarking import PATHS, WORKLOADS, Task, Variant, run_variants, write
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import require_writable

_PROCESSES = "processes"  # what a curve over them is named; the config's keys have dots
_VARY = "a curve: the first as KEY=VALUE, others as VALUE; repeat it for further curves"

_WITHOUT = f"one faster path is not taken in each further variant, of {', '.join(PATHS)}"


def _size(text: str) -> tuple[int, int]:
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not HEIGHTxWIDTH, such as 1024x2048")
    return int(height), int(width)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("workload", choices=WORKLOADS)
    add("--config-file", required=True, metavar="FILE", help="LazyConfig file")
    add("--output", type=Path, metavar="DIR", help="[output/benchmark/<workload>]")
    add("--baseline", action="store_true", help="the plain float32 path as well, first")
    add("--without", nargs="+", default=[], choices=PATHS, metavar="PATH", help=_WITHOUT)
    add("--vary", nargs="+", action="append", default=[], metavar="KEY=VALUE", help=_VARY)
    add("--processes", type=int, nargs="+", default=[1], metavar="N", help="[1]")
    add("--size", type=_size, default=(1024, 2048), metavar="HxW", help="for infer [1024x2048]")
    add("--warmup", type=int, default=2, metavar="N", help="steps that do not count [2]")
    add("--repeats", type=int, default=5, metavar="N", help="steps that count [5]")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
    args = parser.parse_args(arguments)
    if min(args.processes) < 1:
        parser.error("--processes must be 1 or more")
    for first, *_ in args.vary:
        if "=" not in first:
            parser.error(f"--vary: '{first}' is not KEY=VALUE")
    return args


def variants(args: argparse.Namespace) -> list[Variant]:
    """All that is asked for, plain ones first."""
    found = [
        Variant(
            name=", ".join(filter(None, ["plain float32" if plain else "this project", title])),
            overrides=(*args.opts, *([f"{key}={value}"] if "." in key else [])),
            plain=plain,
            processes=int(value) if key == _PROCESSES else args.processes[0],
            key=key,
            value=value,
        )
        for plain in ([True, False] if args.baseline else [False])
        for title, key, value in _points(args)
    ]
    (*_, last) = found
    return found + [replace(last, name=f"without {path}", without=(path,)) for path in args.without]


def _points(args: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Of all curves: their titles, keys and values; a nameless one where there is no curve."""
    for first, *others in args.vary:
        key, _, value = first.partition("=")
        yield from ((f"{key}={value}", key, value) for value in (value, *others))
    if len(args.processes) > 1:
        yield from ((f"{n} processes", _PROCESSES, str(n)) for n in args.processes)
    elif not args.vary:
        yield "", "", ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    with report_errors():
        task = Task(
            workload=args.workload,
            config_file=args.config_file,
            warmup=args.warmup,
            repeats=args.repeats,
            arguments={"size": args.size} if args.workload == "infer" else {},
        )
        folder = args.output or Path("output/benchmark") / args.workload
        require_writable(folder)  # not after minutes
        results = run_variants(task, variants(args))
        command = shlex.join(["python", "tools/benchmark.py", *arguments])
        print(write(results, folder, command=command), end="")


if __name__ == "__main__":
    main()
