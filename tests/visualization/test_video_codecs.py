"""The codec chosen for a format is one that works here."""

import pytest

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import MediaError
from langdg_d2.visualization.video_codecs import CODECS, choose_codec


def test_codecs_are_tried_in_order_and_without_noise(capfd: pytest.CaptureFixture) -> None:
    choose_codec.cache_clear()
    for suffix, codecs in CODECS.items():
        assert choose_codec(suffix, 48, 64) in codecs
    assert capfd.readouterr().err == ""
    with pytest.raises(LangDGError, match=r"videos '\.gif' are not written, only \.mp4"):
        choose_codec(".gif", 48, 64)


def test_a_format_without_a_codec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, ".mp4", ("none",))
    choose_codec.cache_clear()
    with pytest.raises(MediaError, match=r"48x64 .* with none of none into '\.mp4'"):
        choose_codec(".mp4", 48, 64)
