"""A window that cannot be opened says why."""

import sys

import pytest

from langdg_d2.visualization import MediaError, Window


def test_a_window_without_display_is_an_error_and_not_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")  # elsewhere windows need no display variable
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MediaError, match="no display for a window|build of OpenCV has no windows"):
        Window(title="x", wait=False)
