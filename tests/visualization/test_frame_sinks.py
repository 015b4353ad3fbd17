"""Written files read back as they should be, or are not there at all."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    MediaError,
    PngFiles,
    VideoFile,
    VideoWriter,
    find_sources,
    sinks_for,
)
from langdg_d2.visualization import frame_sinks as module
from langdg_d2.visualization.frame_sinks import LiveVideoWriter, PictureSink, write_sources
from langdg_d2.visualization.video_codecs import CODECS


def grey(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def read_back(path: Path) -> tuple[float, list[np.ndarray]]:
    """Rate and frames, RGB."""
    capture = cv2.VideoCapture(str(path))
    rate, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        there, frame = capture.read()
        if not there:
            return rate, frames
        frames.append(frame[..., ::-1])


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_opened_again_has_size_rate_and_every_frame(tmp_path: Path, suffix: str) -> None:
    levels = [10, 60, 110, 160, 210]
    with VideoWriter(path=tmp_path / f"deep/clip{suffix}", rate=29.97) as writer:
        for level in levels:
            writer.write("", grey(level))
        assert listing(tmp_path / "deep")[0].startswith(".clip")
    assert listing(tmp_path / "deep") == [f"clip{suffix}"]
    rate, frames = read_back(tmp_path / f"deep/clip{suffix}")
    assert rate == pytest.approx(29.97, rel=1e-3)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5
    assert [frame.mean() for frame in frames] == pytest.approx(levels, abs=6)


def test_colours_are_not_exchanged_and_odd_sides_grow_by_a_pixel(tmp_path: Path) -> None:
    picture = np.full((47, 63, 3), (200, 100, 30), np.uint8)
    with VideoWriter(path=tmp_path / "a.mp4", rate=5) as writer:
        writer.write("", picture)
    _, (frame,) = read_back(tmp_path / "a.mp4")
    assert frame.shape == (48, 64, 3)
    assert np.abs(frame.astype(int) - (200, 100, 30)).max() < 16


def test_after_an_error_no_video_is_left_and_an_earlier_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"earlier")

    def interrupted() -> None:
        with VideoWriter(path=path, rate=5) as writer:
            writer.write("", grey(0))
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        interrupted()
    assert listing(tmp_path) == ["a.mp4"]
    assert path.read_bytes() == b"earlier"


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    def two_sizes() -> None:
        with VideoWriter(path=tmp_path / "a.mp4", rate=5) as writer:
            writer.write("a", grey(0))
            writer.write("b", grey(0, width=66))

    with pytest.raises(LangDGError, match=r"frame 'b' is \(48, 66, 3\) and the first one \(48, 64"):
        two_sizes()
    assert listing(tmp_path) == []


def test_a_video_without_frames_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(path=tmp_path / "a.mp4", rate=5):
        pass
    assert listing(tmp_path) == []


def test_a_video_that_does_not_read_back_is_not_kept(tmp_path: Path) -> None:
    def damaged() -> None:
        with VideoWriter(path=tmp_path / "a.avi", rate=5) as writer:
            writer.write("a", grey(0))
            writer.write("b", grey(0))
            writer._writer.release()
            (unfinished,) = tmp_path.iterdir()
            unfinished.write_bytes(b"as if the disk were full")

    with pytest.raises(MediaError, match=r"of 2 frames 0 can be read back from .*was not kept"):
        damaged()
    assert listing(tmp_path) == []


def test_pictures_are_png_files_of_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    with PngFiles(folder=tmp_path / "new/folder") as sink:
        sink.write("a.b", pixels)
        sink.write("c", 255 - pixels)
    assert listing(tmp_path / "new/folder") == ["a.b.png", "c.png"]
    assert np.array_equal(np.array(Image.open(tmp_path / "new/folder/a.b.png")), pixels)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(grey(9)).save(folder / name)
    with VideoWriter(path=folder / "clip.avi", rate=5) as writer:
        writer.write("", grey(0))
    return folder


def test_a_folder_gets_images_and_clips(inputs: Path, tmp_path: Path) -> None:
    images, clip = sinks_for(find_sources([str(inputs)]), tmp_path / "out.v2")
    assert isinstance(images, PngFiles)
    assert isinstance(clip, VideoWriter)
    assert (images.folder, images.name) == (tmp_path / "out.v2", None)
    assert (clip.path, clip.rate) == (tmp_path / "out.v2/clip.mp4", pytest.approx(5))
    assert not (tmp_path / "out.v2").exists()


def test_a_single_input_goes_to_a_file(inputs: Path, tmp_path: Path) -> None:
    (sink,) = sinks_for(find_sources([str(inputs / "a.png")]), tmp_path / "new/x.png")
    sink.write("a", grey(1))
    assert listing(tmp_path / "new") == ["x.png"]
    (sink,) = sinks_for(find_sources([str(inputs / "clip.avi")]), tmp_path / "x.webm")
    assert sink.path == tmp_path / "x.webm"


@pytest.mark.parametrize(
    ("names", "output", "says"),
    [
        (["*"], "x.png", r"x\.png' is a single file for several inputs; name a folder"),
        (["*.[pj]*g"], "x.png", "single file for several inputs"),
        (["a.png"], "x.jpg", r"an image is written as \.png; or name a folder"),
        (["a.png"], "x.mp4", r"an image is written as \.png"),
        (["clip.avi"], "x.png", r"a clip is written as \.mp4, "),
        (["clip.avi"], "x.wmv", r"a clip is written as \.mp4, "),
        (["a.png"], "inputs/../file", "is a file, expected a folder"),
        (["*"], "inputs", r"inputs/a\.png' is an input and would be replaced"),
        (["clip.avi"], "inputs/../inputs/clip.avi", r"clip\.avi' is an input and would be"),
    ],
)
def test_outputs_that_do_not_go_with_the_inputs_are_refused(
    inputs: Path, tmp_path: Path, names: list[str], output: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    sources = find_sources([str(inputs / name) for name in names])
    with pytest.raises(LangDGError, match=says):
        sinks_for(sources, tmp_path / output)


class Collecting(PictureSink):
    """Keeps names; after so many somebody has seen enough."""

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.names: list[str] = []

    def write(self, name: str, picture: np.ndarray) -> None:
        self.names.append(name)
        self.is_closed = len(self.names) >= self.enough

    def __exit__(self, kind: object, *_: object) -> None:
        pass


def two_clips(folder: Path) -> list[VideoFile]:
    for name in ("a", "b"):
        with VideoWriter(path=folder / f"{name}.avi", rate=5) as writer:
            for level in (0, 80, 160):
                writer.write("", grey(level))
    return [VideoFile(path=folder / f"{name}.avi") for name in ("a", "b")]


def test_a_sink_that_is_closed_ends_all_sources(tmp_path: Path) -> None:
    sinks = [Collecting(enough=1), Collecting(enough=9)]
    write_sources(two_clips(tmp_path), sinks, iter)
    assert [sink.names for sink in sinks] == [["a_000000"], []]


def test_a_source_that_fails_is_noted_and_the_next_one_follows(tmp_path: Path) -> None:
    sources, sinks = two_clips(tmp_path), [Collecting(enough=9), Collecting(enough=9)]

    def pictures(source: VideoFile) -> Iterator[tuple[str, np.ndarray]]:
        for frame in source:
            if frame.name == "a_000001":
                raise LangDGError("too dark")
            yield frame

    write_sources(sources, sinks, pictures)
    assert sinks[0].names == ["a_000000"]
    assert sinks[1].names == ["b_000000", "b_000001", "b_000002"]
    assert [source.problems for source in sources] == [["'a': too dark"], []]


def test_a_live_video_lasts_as_long_as_its_pictures_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures at 0, 0.33, 0.36 and 0.95 seconds, of which a rate of 10 shows ten frames."""
    times = iter([100.0, 100.33, 100.36, 100.95])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with LiveVideoWriter(path=tmp_path / "live.avi", rate=10) as writer:
        for level in (20, 80, 140, 200):
            writer.write("", grey(level))
    rate, frames = read_back(tmp_path / "live.avi")
    assert rate == 10
    expected = [20] * 3 + [80] + [140] * 5 + [200]
    assert [frame.mean() for frame in frames] == pytest.approx(expected, abs=6)
