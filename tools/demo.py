#!/usr/bin/env python
"""Draw the predictions of checkpoints for images, videos and cameras.

    python tools/demo.py --config-file configs/langdg_gta5.py --checkpoint model_final.pth \\
        --input street.png "night/*.jpg" drive.mp4 --views overlay confidence --output pictures
    python tools/demo.py --config-file configs/langdg_gta5.py --input drive.mp4 \\
        --checkpoint source_only.pth recipe.pth --names "source only" recipe --output drive_both.mp4

Several checkpoints are drawn side by side. Images are written as PNG. Videos and animated images
are written as .mp4, .mov, .mkv (H.264) or .webm (VP9) with their original frame times. Files that
cannot be read or predicted are reported at the end, and the exit code is then 1.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from langdg_d2.utils.arguments import VIEWS, command_parser, parse_with_predictors


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", nargs="+", default=[], metavar="PATH", help="files, folders or glob patterns")
    add("--webcam", type=int, metavar="N", help="camera number; Ctrl-C ends the recording")
    add("--output", type=Path, metavar="PATH", help="folder, or a file for a single input")
    add(
        "--window",
        action="store_true",
        help="show pictures instead of writing them; Q or Escape quits",
    )
    add("--views", nargs="+", choices=VIEWS, default=["overlay"], help="views to draw [overlay]")
    add(
        "--longest-side",
        type=int,
        default=2048,
        metavar="PIXELS",
        help="longest side of a panel [2048]",
    )
    add("--batch-size", type=int, default=1, metavar="N", help="images per batch [1]")
    args = parse_with_predictors(parser, arguments)
    if bool(args.input) == (args.webcam is not None):
        parser.error("expected either --input or --webcam")
    if (args.output is None) != args.window:
        parser.error("expected either --output or --window")
    if min(args.batch_size, args.longest_side) < 1:
        parser.error("--batch-size and --longest-side must be 1 or more")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from tqdm import tqdm

from langdg_d2.utils.errors import report_errors
from langdg_d2.visualization import (
    Camera,
    Predictor,
    Window,
    draw_panels,
    find_sources,
    palette_named,
    predict_frames,
    predictors_of,
    sinks_for,
    write_sources,
)
from langdg_d2.visualization.streams import FrameSource
from langdg_d2.visualization.video import Frame, Image


def show(args: argparse.Namespace) -> list[str]:
    """Predict and draw all inputs; return a message for each failure."""
    problems: list[str] = []
    sources: list[FrameSource] = [Camera(index=args.webcam)] if not args.input else []
    sources += find_sources(args.input, problems=problems)
    sinks = (
        [Window(title=source.name, wait=source.rate is None) for source in sources]
        if args.window
        else sinks_for(sources, args.output)
    )
    draw = partial(pictures, predictors=predictors_of(args), args=args)
    write_sources(sources, sinks, draw)
    return problems + [problem for source in sources for problem in source.problems]


def pictures(
    source: FrameSource, *, predictors: Mapping[str, Predictor], args: argparse.Namespace
) -> Iterator[tuple[Frame, Image]]:
    """Yield the frames of a source with their drawn predictions."""
    classes = next(iter(predictors.values())).classes
    palette, is_clip = palette_named(args.palette, classes), source.rate is not None
    frames = predict_frames(
        source,
        predictors,
        # Frames of a camera are shown immediately.
        batch_size=1 if isinstance(source, Camera) else args.batch_size,
        # A clip ends at the first frame that fails, because omitting frames would change it.
        problems=None if is_clip else source.problems,
    )
    draw = partial(draw_panels, views=args.views, palette=palette, longest_side=args.longest_side)
    with tqdm(frames, desc=source.name, total=source.count, unit="image", disable=None) as bar:
        for frame, predictions in bar:
            # All classes are in the legend, because the frames of a clip must have the same size.
            yield frame, draw(predictions, classes=range(len(palette.names)) if is_clip else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = parse(arguments)
    try:
        with report_errors():
            problems = show(args)
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
