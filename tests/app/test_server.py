"""The page is served alone: no other file, no other host, nothing left behind."""

import os
import socket
import tempfile
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from langdg_d2.app import Actions

gradio = pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')

BOUNDARY = "b0undary"


def status(url: str, data: bytes | None = None) -> int:
    request = urllib.request.Request(url, data)
    if data is not None:
        request.add_header("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def upload(size: int) -> bytes:
    """A form with a file of so many bytes."""
    disposition = 'Content-Disposition: form-data; name="files"; filename="a.png"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/png\r\n\r\n"
    return head.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()


def test_the_page_is_served_alone(
    actions: Actions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langdg_d2.app.page import build_page
    from langdg_d2.app.server import serving

    looked_up: list[str] = []
    real = socket.getaddrinfo

    def look_up(host, *args, **options):
        looked_up.append(host)
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.chdir(tmp_path)
    before = tempfile.gettempdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    build = partial(build_page, actions)
    with serving(build, host="127.0.0.1", port=None, megabytes=1) as url:
        own = Path(tempfile.gettempdir())
        assert own != Path(before)
        with urllib.request.urlopen(url, timeout=120) as page:
            policy = page.headers["content-security-policy"]
            assert "Language-guided segmentation" in page.read().decode()
        assert policy.startswith("default-src 'self'")
        assert "http" not in policy
        for path in (secret, "secret.png", "/etc/hosts", own / ".." / secret.name):
            assert status(f"{url}gradio_api/file={path}") == 403
        assert status(f"{url}gradio_api/runs") == 404
        assert status(f"{url}gradio_api/upload", upload(1 << 10)) == 200
        assert status(f"{url}gradio_api/upload", upload(1 << 21)) == 413
        assert list(own.rglob("a.png"))
    assert not own.exists()
    assert tempfile.gettempdir() == before
    assert "GRADIO_TEMP_DIR" not in os.environ
    assert [path.name for path in tmp_path.iterdir()] == ["secret.png"]
    assert set(map(str, looked_up)) <= {"127.0.0.1", "localhost"}


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind() -> None:
    from langdg_d2.app.server import serving

    def empty_page() -> gradio.Blocks:
        with gradio.Blocks() as page:
            return page

    before = tempfile.gettempdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match=str(port)),
            serving(empty_page, host="127.0.0.1", port=port, megabytes=1),
        ):
            pass
    assert tempfile.gettempdir() == before
