"""Videos give all their frames; what is damaged or missing is named."""

import logging
from pathlib import Path

import numpy as np
import pytest

from langdg_d2.visualization import Camera, MediaError, VideoFile, VideoWriter
from langdg_d2.visualization.clips import Frame


def grey(level: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_video(path: Path, levels: list[int], rate: float = 12.5) -> str:
    with VideoWriter(path=path, rate=rate) as writer:
        for level in levels:
            writer.write("", grey(level))
    return str(path)


def test_a_video_has_a_rate_a_count_and_all_frames_in_order(tmp_path: Path) -> None:
    levels = [0, 60, 120, 180, 240]
    video = VideoFile(path=Path(write_video(tmp_path / "clip.mp4", levels)))
    assert (video.name, video.count, video.rate) == ("clip", 5, pytest.approx(12.5))
    for _ in range(2):  # it can be watched again
        frames = list(video)
        assert [frame.name for frame in frames] == [f"clip_{k:06d}" for k in range(5)]
        for level, frame in zip(levels, frames, strict=True):
            assert isinstance(frame, Frame)
            assert frame.image.shape == (32, 48, 3)
            assert abs(frame.image.mean() - level) < 6


def test_frames_are_rgb(tmp_path: Path) -> None:
    with VideoWriter(path=tmp_path / "red.avi", rate=5) as writer:
        writer.write("", np.full((32, 48, 3), (200, 30, 30), np.uint8))
    (frame,) = VideoFile(path=tmp_path / "red.avi")
    assert np.abs(frame.image.mean(axis=(0, 1)) - (200, 30, 30)).max() < 8


def test_a_video_that_ends_early_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, [0, 250] * 20)
    content = path.read_bytes()
    cut = content[: len(content) // 2]
    path.write_bytes(cut)
    source = VideoFile(path=path)
    source.count = 40
    with caplog.at_level(logging.WARNING, logger="langdg_d2"):
        read = len(list(source))
    assert 0 < read < 40
    assert f"ended after {read} of the 40 frames" in caplog.text


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(MediaError, match="camera 97 cannot be opened; check that it is attached"):
        Camera(index=97)


def test_a_rate_that_nobody_plays_at_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "recorded.avi", [0, 80], rate=1000)
    with caplog.at_level(logging.WARNING, logger="langdg_d2"):
        assert VideoFile(path=Path(path)).rate == 25
    assert "recorded.avi' says 1000 frames a second" in caplog.text


def test_frames_larger_than_images_may_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(write_video(tmp_path / "large.avi", [0]))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 32 * 48 - 1)
    with pytest.raises(MediaError, match=r"large\.avi' have 48x32 pixels, more .* of 1,535"):
        VideoFile(path=path)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm"])
@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile other.avi\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.avi\n#EXT-X-ENDLIST\n",
    ],
    ids=["concatenation", "playlist"],
)
def test_scripts_that_lead_to_other_files_are_no_videos(tmp_path, script, suffix):
    with VideoWriter(path=tmp_path / "other.avi", rate=10) as writer:
        writer.write("", np.full((48, 64, 3), 200, np.uint8))
    assert VideoFile(path=tmp_path / "other.avi").count == 1
    path = tmp_path / f"clip{suffix}"
    path.write_text(script)
    with pytest.raises(MediaError, match=rf"cannot read '.*clip\{suffix}' as a video"):
        VideoFile(path=path)
