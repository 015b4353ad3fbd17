"""The page is served alone: no other file, no other host, nothing left behind."""

import http.client
import json
import os
import socket
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from app import serving

gradio = pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')

BOUNDARY = "b0undary"


def request_of(url: str, form: bytes | None = None) -> urllib.request.Request:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return urllib.request.Request(url, form, {"Content-Type": kind} if form else {})


def status(url: str, form: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(request_of(url, form), timeout=120) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def upload(content: bytes, name: str = "a.png") -> bytes:
    """A form with a file."""
    disposition = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/png\r\n\r\n"
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def test_the_page_is_served_alone(
    models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    with serving(**models) as served:
        url = served.local_url
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
        assert status(f"{url}gradio_api/upload", upload(bytes(1 << 10))) == 200
        assert status(f"{url}gradio_api/upload", upload(bytes(1 << 21))) == 413
        assert list(own.rglob("a.png"))
    assert not own.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.png"]
    assert set(map(str, looked_up)) <= {"127.0.0.1", "localhost"}


def ask_raw(url: str, path: str) -> int:
    """Status of a path that is sent as it is, whatever it leads to."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    connection.putrequest("GET", path)
    connection.endheaders()
    return connection.getresponse().status


def outcome_of(page: Any, file: str) -> str:
    """What becomes of a prediction that is asked for by hand."""
    url_of_it = {"url": file} if file.startswith("http") else {}
    data = {"path": file, **url_of_it, "meta": {"_type": "gradio.FileData"}}
    url, index = page.local_url, next(k for k, fn in page.fns.items() if fn.name == "predict")
    body = {"data": [data, "tiny", "classes"], "fn_index": index, "session_hash": "byhand"}
    request = urllib.request.Request(
        f"{url}gradio_api/queue/join",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=120).close()
    events = f"{url}gradio_api/queue/data?session_hash=byhand"
    with urllib.request.urlopen(events, timeout=120) as answer:
        return next(line.decode() for line in answer if b"process_completed" in line)


def test_no_trick_with_names_reaches_files_or_addresses_outside(
    models: dict[str, Any], image_file: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(image_file.read_bytes())
    with (
        socket.create_server(("127.0.0.1", 0)) as inner,
        serving(**models) as served,
    ):
        url = served.local_url
        elsewhere = f"http://127.0.0.1:{inner.getsockname()[1]}/"
        own = Path(os.environ["GRADIO_TEMP_DIR"])
        own.mkdir(exist_ok=True)
        (own / "link.png").symlink_to(secret)
        up = "../" * 12
        for path in (
            f"/gradio_api/file={own}/{up}etc/hosts",
            "/gradio_api/file=%2e%2e%2f%2fetc%2fhosts",
            f"/gradio_api/file={own}/link.png",
            "/gradio_api/file=file:///etc/hosts",
            f"/gradio_api/file={elsewhere}",
            f"/gradio_api/file/{secret}",
            f"/gradio_api/proxy={elsewhere}",
            f"/static/{up}etc/hosts",
            f"/assets/{up.replace('..', '%2e%2e')}etc/hosts",
            f"/svelte/{up.replace('/', '%2f')}etc%2fhosts",
        ):
            assert ask_raw(url, path) in (400, 403, 404), path
        names = ("../../evil.png", "/tmp/../evil.png", "..", r"..\..\evil.png", "a/../evil.png")
        target, image = f"{url}gradio_api/upload", image_file.read_bytes()
        assert [status(target, upload(image, name)) for name in names].count(200) > 2
        with urllib.request.urlopen(request_of(target, upload(image))) as answer:
            (own_file,) = json.load(answer)
        assert '"success":true' in outcome_of(served, own_file)
        for file in ("/etc/hosts", str(secret), elsewhere, f"{own}/link.png"):
            # Refused by Gradio: no handler has said anything about the file.
            assert '"output":{"error":null},"success":false' in outcome_of(served, file), file
        kept = [path for path in own.rglob("*") if path.name.endswith("evil.png")]
        assert kept
        assert all(path.resolve().is_relative_to(own.resolve()) for path in kept)
        inner.settimeout(0)
        with pytest.raises(BlockingIOError):
            inner.accept()
        assert not list(own.parent.glob("*evil.png"))
    assert {path.name for path in tmp_path.iterdir()} == {"secret.png", image_file.name}


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(
    models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)), serving(port=port, **models):
            pass
    assert not list(tmp_path.iterdir())
