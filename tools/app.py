#!/usr/bin/env python
"""Show in a browser what checkpoints predict, and how a style mined on the spot changes it.

    python tools/app.py --config-file configs/langdg_gta5.py \\
        --checkpoint source_only.pth recipe.pth --names "source only" recipe

Prints the address of a page where an image or a clip can be dropped. It is served to this machine
alone and asks nothing of any other; its files lie in a temporary folder that is removed when Ctrl-C
ends it. Needs the extra `demo`: pip install -e ".[demo]".
"""

import argparse
import ipaddress
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial

from langdg_d2.app import Actions, Limits, LiveStyles
from langdg_d2.modeling import ClipWeightsError
from langdg_d2.utils.errors import report_errors
from langdg_d2.visualization import parse_with_predictors, predictors_of

_LIMITS = Limits()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at [this machine only]")
    add("--port", type=int, metavar="N", help="[the first free one from 7860 on]")
    add("--megabytes", type=int, default=_LIMITS.megabytes, metavar="N", help="of an upload [64]")
    add("--frames", type=int, default=_LIMITS.frames, metavar="N", help="of a clip [250]")
    add(
        "--longest-side", type=int, default=_LIMITS.longest_side, metavar="PIXELS",
        help="larger images are scaled down first [2048]",
    )  # fmt: skip
    args = parse_with_predictors(parser, arguments)
    if min(args.megabytes, args.frames, args.longest_side) < 1:
        parser.error("--megabytes, --frames and --longest-side must be 1 or more")
    return args


def build_actions(args: argparse.Namespace) -> Actions:
    """Load everything that the page will need."""
    predictors = predictors_of(args)
    styles: LiveStyles | str
    try:
        styles = LiveStyles.from_config(args.config_file[0], args.opts)
    except ClipWeightsError as error:
        styles = f"no style can be mined without CLIP: {error}"
        print(f"warning: {styles}", file=sys.stderr)
    limits = Limits(megabytes=args.megabytes, frames=args.frames, longest_side=args.longest_side)
    return Actions(predictors=predictors, limits=limits, styles=styles)


def is_this_machine(host: str) -> bool:
    """Whether nothing but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


@contextmanager
def without_proxies() -> Iterator[None]:
    """Gradio would ask a proxy for its own page, and not start without the package for SOCKS."""
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    for key in proxies:
        del os.environ[key]
    try:
        yield
    finally:
        os.environ.update(proxies)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command until it is interrupted."""
    args = parse(arguments)
    try:
        with without_proxies():
            from langdg_d2.app.page import build_page
            from langdg_d2.app.server import serving
    except ImportError as error:
        sys.exit(f'error: {error}; the page needs Gradio: pip install -e ".[demo]"')
    if not is_this_machine(args.host):
        print(
            f"warning: at {args.host} other machines can open the page, which asks for no password",
            file=sys.stderr,
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is removed
    with suppress(KeyboardInterrupt), report_errors():
        actions = build_actions(args)
        build = partial(build_page, actions, palette=args.palette)
        place = {"host": args.host, "port": args.port, "megabytes": args.megabytes}
        with without_proxies(), serving(build, **place) as url, closing(actions):
            print(f"open {url} in a browser; Ctrl-C ends it", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
