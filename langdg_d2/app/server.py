"""Serves the page on this machine alone: nothing is sent elsewhere, nothing stays behind."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

_STYLE = Path(__file__).with_name("page.css")
_FONTS = ["system-ui", "sans-serif"]
_MONOSPACE = ["ui-monospace", "monospace"]
# Gradio's page needs its inline scripts; nothing may come from, or go to, another host.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'self'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


@contextmanager
def serving(
    build: Callable[[], gr.Blocks], *, host: str, port: int | None, megabytes: int
) -> Iterator[str]:
    """Serve a page until the block ends.

    Meanwhile temporary files of this process lie in a folder of their own, which is removed.

    Args:
        build: makes the page; called here, for Gradio asks then where its files may lie.
        host: address to listen at; "127.0.0.1" is reached from this machine only.
        port: None for the first free one from 7860 on.
        megabytes: of an upload at most.

    Yields:
        The page's address.

    Raises:
        OSError: if the port is taken.
    """
    with _own_folder():
        page = build()
        try:
            _, url, _ = page.launch(
                server_name=host,
                server_port=port,
                max_file_size=f"{megabytes}mb",
                theme=gr.themes.Default(font=_FONTS, font_mono=_MONOSPACE),
                css_paths=[_STYLE],
                app_kwargs={"middleware": [Middleware(_WithHeaders)]},
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                share=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                inline=False,
                quiet=True,
                prevent_thread_lock=True,
            )
            yield url
        finally:
            page.close(verbose=False)


@contextmanager
def _own_folder() -> Iterator[None]:
    """A folder where Gradio, and whoever asks `tempfile`, put what they need for a while."""
    folder_before, cache_before = tempfile.tempdir, os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="langdg_d2_", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield
        finally:
            tempfile.tempdir = folder_before
            if cache_before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = cache_before


class _WithHeaders:
    """Adds headers to every answer of an ASGI application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)
