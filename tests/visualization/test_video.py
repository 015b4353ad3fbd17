"""Videos of every container give all their frames, upright and in time, and are written so."""

import logging
import socket
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Frame, MediaError, VideoFile, VideoWriter, is_video
from langdg_d2.visualization.video import FORMATS

LEVELS = [20, 60, 100, 140, 180, 220, 40, 80, 120, 160, 200, 240]
EVEN = [k / 12 for k in range(12)]
UNEVEN = [0, 0.04, 0.08, 0.12, 0.16, 0.2, 1.2, 2.2, 3.2, 4.2]


def grey(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def make_clip(
    path: Path,
    codec: str = "mpeg4",
    container: str | None = None,
    *,
    times: Sequence[float] = EVEN,
    pictures: Sequence[np.ndarray] | None = None,
    ticks: int = 12,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: float = 0,
) -> Path:
    """A clip written by PyAV alone: a grey picture at each time, sound for some seconds."""
    pictures = pictures or [grey(level) for level in LEVELS[: len(times)]]
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", format=container, container_options=options or {}) as file:
        stream = file.add_stream(codec, rate=ticks, width=width, height=height, pix_fmt=pixels)
        stream.codec_context.time_base = Fraction(1, ticks)
        noise = file.add_stream("aac", rate=8000) if sound else None
        for time, picture in zip(times, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if noise:
            samples = np.zeros((2, int(8000 * sound)), np.float32)
            silence = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 8000, 0
            file.mux(noise.encode(silence))
            file.mux(noise.encode(None))
    return path


CONTAINERS = {
    "h264.mp4": ("libx264", "mp4"),
    "mpeg4.mp4": ("mpeg4", "mp4"),
    "hevc.mp4": ("libx265", "mp4"),
    "av1.mp4": ("libsvtav1", "mp4"),
    "h264.mov": ("libx264", "mov"),
    "mjpeg.mov": ("mjpeg", "mov"),
    "h264.mkv": ("libx264", "matroska"),
    "ffv1.mkv": ("ffv1", "matroska"),
    "vp8.webm": ("libvpx", "webm"),
    "vp9.webm": ("libvpx-vp9", "webm"),
    "xvid.avi": ("mpeg4", "avi"),
    "mjpeg.avi": ("mjpeg", "avi"),
    "mpeg2.ts": ("mpeg2video", "mpegts"),
    "h264.mts": ("libx264", "mpegts"),
    "h264.m2ts": ("libx264", "mpegts"),
    "sorenson.flv": ("flv", "flv"),
    "h264.flv": ("libx264", "flv"),
    "wmv2.wmv": ("wmv2", "asf"),
    "mpeg2.mpg": ("mpeg2video", "mpeg"),
    "mpeg2.vob": ("mpeg2video", "vob"),
    "mpeg2.mxf": ("mpeg2video", "mxf"),
    "mpeg4.3gp": ("mpeg4", "3gp"),
    "bare.y4m": ("rawvideo", "yuv4mpegpipe"),
    "bare.mjpeg": ("mjpeg", "mjpeg"),
    "h264": ("libx264", "mp4"),
    "mpeg2": ("mpeg2video", "mpegts"),
    "h264.weird suffix": ("libx264", "matroska"),
}
# 25 frames a second, for MPEG-1/2 knows few rates; bare JPEG has none and is taken as 25.
AT_25 = [k / 25 for k in range(12)]


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_all_frames_at_their_times(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    codec, container = CONTAINERS[name]
    full_range = codec == "mjpeg"
    options = {"mpegts_m2ts_mode": "1"} if name.endswith(".m2ts") else {}
    make_clip(
        tmp_path / name,
        codec,
        container,
        times=AT_25,
        ticks=25,
        pixels="yuvj420p" if full_range else "yuv420p",
        options=options,
    )
    assert is_video(tmp_path / name)
    video = VideoFile(path=tmp_path / name)
    for _ in range(2):  # it can be watched again
        frames = list(video)
        assert [frame.name for frame in frames] == [f"{video.name}_{k:06d}" for k in range(12)]
        assert [frame.time for frame in frames] == pytest.approx(AT_25, abs=2e-3)
        assert [frame.image.mean() for frame in frames] == pytest.approx(LEVELS, abs=8)
        assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert video.rate == pytest.approx(25)
    assert video.problems == []
    assert not caplog.records


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.mp4", "vfr.mov", "vfr.webm", "vfr.flv"])
def test_variable_rates_come_out_with_their_own_times(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    make_clip(tmp_path / name, codec, times=UNEVEN, ticks=1000)
    video = VideoFile(path=tmp_path / name)
    frames = list(video)
    assert [frame.time for frame in frames] == pytest.approx(UNEVEN, abs=2e-3)
    assert video.problems == []
    for suffix in FORMATS:
        copy = tmp_path / f"copy{suffix}"
        with VideoWriter(path=copy, rate=video.rate) as writer:
            for frame in frames:
                writer.write(frame.image, frame)
        again = list(VideoFile(path=copy))
        assert [frame.time for frame in again] == pytest.approx(UNEVEN, abs=2e-3)
        levels = [frame.image.mean() for frame in again]
        assert levels == pytest.approx(LEVELS[: len(UNEVEN)], abs=8)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_animated_images_are_clips_with_their_delays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"animated.{suffix}"
    first, *rest = [Image.fromarray(grey(level)) for level in LEVELS[:4]]
    first.save(path, save_all=True, append_images=rest, duration=[40, 200, 500, 1000], loop=0)
    assert is_video(path)
    frames = list(VideoFile(path=path))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.24, 0.74])
    assert [frame.image.mean() for frame in frames] == pytest.approx(LEVELS[:4], abs=4)
    first.save(path)
    assert not is_video(path)


def test_the_last_frame_lasts_as_long_as_it_did(tmp_path: Path) -> None:
    frames = [Frame(str(k), grey(9), time, 0.5) for k, time in enumerate((0.0, 0.1, 0.7))]
    for suffix in FORMATS:
        path = tmp_path / f"clip{suffix}"
        with VideoWriter(path=path, rate=10) as writer:
            for frame in frames:
                writer.write(frame.image, frame)
        with av.open(str(path)) as file:
            assert file.duration / av.time_base == pytest.approx(1.2, abs=0.01), suffix


ROTATIONS = {  # matrix of the track header, and how an image is turned
    "as recorded": ((1, 0, 0, 1), lambda image: image),
    "to the right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "to the left": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "upside down": ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("name", ROTATIONS)
def test_a_clip_is_turned_as_its_header_asks(tmp_path: Path, name: str) -> None:
    (a, b, c, d), turned = ROTATIONS[name]
    corner = grey(30)
    corner[:24, :32] = (220, 120, 60)
    corner[24:, :32] = 150
    path = make_clip(tmp_path / "a.mp4", "libx264", times=[0], pictures=[corner])
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[place : place + 36] = np.array(matrix, ">i4").tobytes()
    path.write_bytes(content)
    (frame,) = VideoFile(path=path)
    assert frame.image.shape == turned(corner).shape
    assert np.abs(frame.image.astype(int) - turned(corner)).mean() < 6


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "flv", "mxf"])
def test_a_truncated_clip_is_told_apart_from_an_estimated_count(
    tmp_path: Path, container: str
) -> None:
    times = [k / 25 for k in range(100)]
    pictures = [
        np.random.default_rng(k).integers(0, 256, (48, 64, 3), dtype=np.uint8) for k in range(100)
    ]
    options = {"movflags": "faststart"} if container == "mp4" else {}
    codecs = {"flv": "flv", "mxf": "mpeg2video"}
    path = make_clip(
        tmp_path / "clip",
        codecs.get(container, "mpeg4"),
        container,
        times=times,
        ticks=25,
        pictures=pictures,
        options=options,
    )
    whole = VideoFile(path=path)
    whole.count = 500  # as estimates are
    assert len(list(whole)) == 100
    assert whole.problems == []
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    cut = VideoFile(path=path)
    read = len(list(cut))
    assert 20 < read < 80
    (problem,) = cut.problems
    assert "clip' is truncated: it ends after " in problem
    assert f"of the 4.00 seconds that its header promises, with {read} frames" in problem


def test_sound_that_lasts_longer_is_no_damage(tmp_path: Path) -> None:
    for name, codec in {"a.mp4": "mpeg4", "a.mkv": "mpeg4", "a.flv": "flv"}.items():
        video = VideoFile(path=make_clip(tmp_path / name, codec, sound=5))
        assert len(list(video)) == 12
        assert video.problems == []


def test_packets_that_cannot_be_decoded_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    pictures = list(noise)
    path = make_clip(tmp_path / "a.mov", "png", pixels="rgb24", pictures=pictures)
    content = bytearray(path.read_bytes())
    start = content.index(b"IHDR", len(content) // 2)
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="langdg_d2"):
        frames = list(VideoFile(path=path))
    assert len(frames) == 11
    assert "a.mov' is damaged: 1 packets cannot be decoded" in caplog.text


def test_times_that_begin_anew_go_on(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{k}.ts", "mpeg2video", times=AT_25, ticks=25) for k in "ab"]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    times = [frame.time for frame in VideoFile(path=joined)]
    assert len(times) == 24
    assert np.diff(times) == pytest.approx([1 / 25] * 23, abs=0.02)


def test_frames_of_another_size_get_that_of_the_first(tmp_path: Path) -> None:
    sizes = {"a": (48, 64), "b": (96, 128)}
    for name, size in sizes.items():
        make_clip(
            tmp_path / f"{name}.ts",
            "mpeg2video",
            times=AT_25,
            ticks=25,
            pictures=[grey(100, *size)] * 12,
        )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in sizes))
    frames = list(VideoFile(path=joined))
    assert len(frames) >= 23  # the decoder drops what it held at the change
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}


def test_transparent_parts_lie_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    images = [Image.new("RGBA", (8, 8), (level, 0, 0, 0)) for level in (10, 200)]
    images[0].putpixel((2, 3), (0, 0, 255, 255))
    images[1].putpixel((4, 3), (0, 0, 255, 255))
    images[0].save(path, save_all=True, append_images=images[1:], disposal=2)
    first = next(iter(VideoFile(path=path))).image
    assert first[3, 2].tolist() == [0, 0, 255]
    assert first[0, 0].tolist() == [255, 255, 255]


# Names that FFmpeg would take for addresses, lists of files or patterns.
NAMES = ["http:127.0.0.1:{port}.mp4", "tcp:127.0.0.1:{port}", "concat:a.mp4|b.mp4", "a%03d.mp4",
         "data:text,x.mp4", "pipe:0.mp4", "-i.mp4", "list.m3u8", "list.ffconcat", "a.sdp",
         "file:other.mp4", "zwölf.mp4", "stra\udcdfe.mp4"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_a_file_whatever_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        content = make_clip(tmp_path / "made", "libx264", "mp4").read_bytes()
        path = Path(name.format(port=server.getsockname()[1]))
        path.write_bytes(content)
        frames = list(VideoFile(path=path))
        assert [frame.image.mean() for frame in frames] == pytest.approx(LEVELS, abs=8)
        with pytest.raises(TimeoutError):
            server.accept()


SCRIPTS = {
    "concatenation": "ffconcat version 1.0\nfile other.avi\n",
    "concatenation of any": "ffconcat version 1.0\nfile '{folder}/other.avi'\n",
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.avi\n#EXT-X-ENDLIST\n",
    "playlist of a host": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    "http://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
    "mediaPresentationDuration='PT1S' profiles='urn:mpeg:dash:profile:isoff-on-demand:2011'>"
    "<Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
    "<BaseURL>other.avi</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "shortcut": "[Reference]\nRef1=http://127.0.0.1:{port}/a.wmv\n",
}


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".m3u8", ""])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_that_lead_to_other_files_or_hosts_are_no_videos(
    tmp_path: Path, script: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "other.avi")
    assert len(list(VideoFile(path=tmp_path / "other.avi"))) == 12
    path = tmp_path / f"clip{suffix}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        path.write_text(SCRIPTS[script].format(folder=tmp_path, port=port))
        with pytest.raises(MediaError, match=rf"cannot read '.*clip{suffix}' as a video"):
            list(VideoFile(path=path))
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("content", [b"", b"no video", bytes(range(256)) * 40, b"MZ" + bytes(99)])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"cannot read '.*a\.mp4' as a video: .*convert it to MP4"):
        VideoFile(path=path)
    with pytest.raises(MediaError, match=r"nothing\.mp4' as a video: No such file"):
        VideoFile(path=tmp_path / "nothing.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        noise = file.add_stream("aac", rate=8000)
        samples = np.zeros((2, 8000), np.float32)
        silence = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        silence.sample_rate = 8000
        file.mux(noise.encode(silence))
        file.mux(noise.encode(None))
    with pytest.raises(MediaError, match="it contains no pictures"):
        VideoFile(path=tmp_path / "a.mp4")


def test_frames_larger_than_images_may_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "large.avi")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 48 * 64 - 1)
    with pytest.raises(MediaError, match=r"large\.avi' have no size, or more .* of 3071"):
        VideoFile(path=path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_video_opened_again_has_size_rate_and_every_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep/clip{suffix}"
    with VideoWriter(path=path, rate=29.97) as writer:
        for level in LEVELS:
            writer.write(grey(level))
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert stream.codec_context.name == ("vp9" if suffix == ".webm" else "h264")
        assert float(stream.average_rate) == pytest.approx(29.97, rel=1e-2)
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 12
    assert [frame.mean() for frame in frames] == pytest.approx(LEVELS, abs=6)


def test_colours_are_not_exchanged_and_odd_sides_grow_by_a_pixel(tmp_path: Path) -> None:
    for suffix in FORMATS:
        path = tmp_path / f"a{suffix}"
        with VideoWriter(path=path) as writer:
            writer.write(np.full((47, 63, 3), (200, 100, 30), np.uint8))
        (frame,) = VideoFile(path=path)
        assert frame.image.shape == (48, 64, 3)
        assert np.abs(frame.image.astype(int) - (200, 100, 30)).max() < 12


def test_after_an_error_no_video_is_left_and_an_earlier_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"earlier")

    def interrupted() -> None:
        with VideoWriter(path=path) as writer:
            writer.write(grey(0))
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"earlier"


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    def two_sizes() -> None:
        with VideoWriter(path=tmp_path / "a.mp4") as writer:
            writer.write(grey(0))
            writer.write(grey(0, width=66))

    with pytest.raises(LangDGError, match=r"picture \(48, 66, 3\) follows one of \(48, 64, 3\)"):
        two_sizes()
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(path=tmp_path / "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LangDGError, match=r"videos '\.avi' are not written, expected one of \.mp4"):
        VideoWriter(path=tmp_path / "a.avi")


def test_a_video_is_read_in_any_thread(tmp_path: Path) -> None:
    """As a page does, whose server takes a thread for each step."""
    steps = iter(VideoFile(path=make_clip(tmp_path / "a.mp4", "libx264")))
    found: list[Frame] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(next(steps)))
        thread.start()
        thread.join()
    assert [frame.name for frame in found] == [f"a_{k:06d}" for k in range(3)]
