"""The command that serves the page: what it starts with, says and ends with."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import app
import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from langdg_d2.engine import apply_overrides

CONFIG = str(Path(__file__).parents[3] / "configs/langdg_gta5.py")
TOOL = str(Path(__file__).parents[3] / "projects/app/app.py")
PATIENCE = 600  # seconds, for machines that do other things as well


@pytest.fixture(autouse=True)
def _signals_restored() -> Iterator[None]:
    """Ctrl-C works in these tests; shells ignore it in what they start in the background."""
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for one, handler in handlers.items():
        signal.signal(one, handler)


@pytest.fixture(scope="module")
def checkpoint(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    cfg = apply_overrides(LazyConfig.load(CONFIG), overrides)
    cfg.model.backbone.tower.weights = None
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    torch.save({"model": instantiate(cfg.model).state_dict()}, path)
    return str(path)


def visit_and_interrupt(said: io.StringIO, found: dict[str, str]) -> None:
    """What a user does: open the address that is printed, look at the page, press Ctrl-C."""
    until = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < until and "\n" not in said.getvalue():
            time.sleep(0.05)
        address = re.search(r"open (\S+) in a browser", said.getvalue())[1]
        with urllib.request.urlopen(address, timeout=PATIENCE) as page:
            found["page"] = page.read().decode()
        found["folder"] = tempfile.gettempdir()
    finally:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_the_page_is_served_until_ctrl_c_and_without_clip_too(
    checkpoint: str, overrides: list[str], capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    before, said, found = tempfile.gettempdir(), io.StringIO(), {}
    visitor = threading.Thread(target=visit_and_interrupt, args=(said, found))
    options = ["--names", "the only one", "--palette", "colorblind"]
    without_clip = [*overrides, "model.backbone.tower.weights=missing.pt"]
    files = ["--config-file", CONFIG, "--checkpoint", checkpoint]
    visitor.start()
    with contextlib.redirect_stdout(said):
        app.main([*files, *options, "--opts", *without_clip])
    visitor.join()
    assert "http://127.0.0.1:" in said.getvalue()
    assert "the only one" in found["page"]
    assert found["folder"] != before
    assert not Path(found["folder"]).exists()
    assert "warning: styles cannot be mined without CLIP" in capsys.readouterr().err


def test_no_proxy_is_asked_for_the_own_page(
    checkpoint: str, overrides: list[str], tmp_path: Path
) -> None:
    """In a process of its own: Gradio looks at proxies when it is imported."""
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for name, scheme in (("http_proxy", "http"), ("all_proxy", "socks5")):
        environment[name] = environment[name.upper()] = f"{scheme}://127.0.0.1:9"
    for key in ("no_proxy", "NO_PROXY"):
        environment.pop(key, None)
    files = ["--config-file", CONFIG, "--checkpoint", checkpoint, "--opts", *overrides]
    with (
        open(tmp_path / "said", "w") as said,
        subprocess.Popen(
            [sys.executable, TOOL, *files, "model.backbone.tower.weights=missing.pt"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as page,
    ):
        line = page.stdout.readline()
        page.terminate()
        assert page.wait(PATIENCE) == 0, (tmp_path / "said").read_text()
    assert line.startswith("open http://127.0.0.1:")


def test_a_checkpoint_that_is_not_there_is_named() -> None:
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    with pytest.raises(SystemExit) as stopped:
        app.main(["--config-file", CONFIG, "--checkpoint", "nothing.pth"])
    assert stopped.value.code == "error: checkpoint 'nothing.pth' does not exist"


@pytest.mark.parametrize(
    ("setting", "says"),
    [("a b", "error: "), ("model.backbone.tower.name=no-such-tower", "no-such-tower")],
)
def test_invalid_settings_are_reported_in_one_line(
    checkpoint: str, overrides: list[str], setting: str, says: str
) -> None:
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    files = ["--config-file", CONFIG, "--checkpoint", checkpoint]
    with pytest.raises(SystemExit) as stopped:
        app.main([*files, "--opts", *overrides, setting])
    assert says in str(stopped.value.code)


def test_a_limit_of_nothing_is_refused() -> None:
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    with pytest.raises(SystemExit) as stopped:
        app.main(["--config-file", CONFIG, "--checkpoint", "nothing.pth", "--frames", "0"])
    assert stopped.value.code == "error: frames is 0, expected a whole number of 1 or more"


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("192.168.1.5", False), ("::", False), ("my-computer", False),
    ],
)  # fmt: skip
def test_that_other_machines_can_open_the_page_is_warned_about(
    host: str, alone: bool, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
    with pytest.raises(SystemExit):
        app.main(["--config-file", CONFIG, "--checkpoint", "nothing.pth", "--host", host])
    warning = f"warning: other machines can open the page at {host} without a password"
    assert (warning in capsys.readouterr().err) is not alone


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--names", "a", "b"], "2 names for 1 checkpoints"),
        (["--palette", "grey"], "invalid choice"),
    ],
)
def test_wrong_usage_says_what_is_right(
    options: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stopped:
        app.main(["--config-file", CONFIG, "--checkpoint", "x.pth", *options])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
