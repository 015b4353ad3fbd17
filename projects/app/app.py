#!/usr/bin/env python
"""Serve a browser demo of checkpoints: predictions, and the effect of a mined style.

    python projects/app/app.py --config-file configs/langdg_gta5.py \\
        --checkpoint source_only.pth recipe.pth --names "source only" recipe

The command prints the address of a page for images and clips. By default, only this machine can
open it, and it loads nothing from other hosts. Ctrl-C stops the demo and deletes its files. It
needs the extra `demo`: pip install -e ".[demo]".
"""

import gc
import importlib.util
import ipaddress
import os
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langdg_d2.utils.arguments import command_parser, parse_with_predictors


def parse(arguments: Sequence[str] | None) -> Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on [127.0.0.1, this machine only]",
    )
    add("--port", type=int, metavar="N", help="port [the first free one from 7860]")
    add("--examples", nargs="+", default=[], metavar="FILE", help="images and clips to offer")
    add("--megabytes", type=int, default=64, metavar="N", help="largest upload [64]")
    add("--frames", type=int, default=250, metavar="N", help="frames to process per clip [250]")
    add(
        "--longest-side", type=int, default=2048, metavar="PIXELS",
        help="larger images are scaled down first [2048]",
    )  # fmt: skip
    args = parse_with_predictors(parser, arguments)
    if missing := [path for path in args.examples if not Path(path).is_file()]:
        parser.error(f"there is no file '{missing[0]}' for --examples")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from live_styles import LiveStyles
from uploads import Limits

from langdg_d2.modeling import ClipWeightsError
from langdg_d2.utils.errors import report_errors
from langdg_d2.visualization import predictors_of

# Gradio needs inline scripts. Nothing may be loaded from or sent to other hosts.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@contextmanager
def serving(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    palette: str = "classes",
    examples: Sequence[str] = (),
    **models: Any,
) -> Iterator[Any]:
    """Serve the page inside the context, with its files in a temporary folder.

    Args:
        host: address to listen on; "127.0.0.1" is only accessible from this machine.
        port: port; None for the first free one from 7860.
        palette: name of the initial palette.
        examples: images and clips to offer.
        models: arguments of `page.Handlers`.

    Yields:
        The page, a `gradio.Blocks`.

    Raises:
        OSError: if the port is in use.
    """
    os.environ["no_proxy"] = "*"  # Gradio fails to start if it requests its page from a proxy
    import gradio as gr
    from page import Handlers, build_page
    from starlette.middleware import Middleware

    with (
        TemporaryDirectory(prefix="langdg_d2_", ignore_cleanup_errors=True) as folder,
        closing(Handlers(**models)) as handlers,
    ):
        tempfile.tempdir = folder
        os.environ["GRADIO_TEMP_DIR"] = f"{folder}/served"  # for copies of all files shown
        page = build_page(handlers, palette=palette, examples=examples)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                max_file_size=f"{handlers.limits.megabytes}mb",
                theme=gr.themes.Default(font="system-ui", font_mono="ui-monospace"),
                css_paths=[Path(__file__).with_name("page.css")],
                app_kwargs={"middleware": [Middleware(with_headers)]},
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
            )
            gc.freeze()  # makes garbage collection after each frame of a clip fast
            yield page
        finally:
            gc.unfreeze()
            page.close(verbose=False)
            tempfile.tempdir = None


def with_headers(app: Any) -> Any:
    """Wrap an ASGI application to add `HEADERS` to its responses."""
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


def is_this_machine(host: str) -> bool:
    """Return whether an address is only accessible from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name
        return host == "localhost"


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the models and serve the page until interrupted."""
    args = parse(arguments)
    if importlib.util.find_spec("gradio") is None:
        sys.exit('error: the page needs Gradio: pip install -e ".[demo]"')
    if not is_this_machine(args.host):
        print(
            f"warning: other machines can open the page at {args.host} without a password",
            file=sys.stderr,
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is removed
    with suppress(KeyboardInterrupt), report_errors():
        limits = Limits(args.megabytes, args.longest_side, args.frames)
        predictors, styles = predictors_of(args), None
        try:
            styles = LiveStyles(args.config_file[0], args.opts)
        except ClipWeightsError as error:
            print(f"warning: styles cannot be mined without CLIP: {error}", file=sys.stderr)
        models = {"predictors": predictors, "styles": styles, "limits": limits}
        options = {name: getattr(args, name) for name in ("host", "port", "palette", "examples")}
        with serving(**options, **models) as page:
            print(f"open {page.local_url} in a browser; press Ctrl-C to stop", flush=True)
            page.block_thread()


if __name__ == "__main__":
    main()
