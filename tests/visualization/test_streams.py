"""Images, folders and videos give their frames under own names; pictures go where they should."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import (
    Camera,
    Frame,
    MediaError,
    PngFiles,
    VideoFile,
    VideoWriter,
    Window,
    find_sources,
    sinks_for,
    streams,
    write_sources,
)
from langdg_d2.visualization.streams import FrameSource, ImageFiles


def grey(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_image(path: Path, level: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey(level)).save(path)
    return str(path)


def write_video(path: Path, levels: tuple[int, ...] = (0,)) -> str:
    """A video of any name, in MP4."""
    with VideoWriter(path=path.with_suffix(".mp4"), rate=12.5) as writer:
        for level in levels:
            writer.write(grey(level))
    return str(path.with_suffix(".mp4").rename(path))


def sources_of(*inputs: str | Path) -> list[FrameSource]:
    problems: list[str] = []
    sources = find_sources(map(str, inputs), problems=problems)
    assert problems == []
    return sources


def names_of(source: FrameSource) -> list[str]:
    return [frame.name for frame in source]


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_folders_and_patterns_are_one_source_without_repetition(tmp_path: Path) -> None:
    for k, name in enumerate(["b.png", "a.JPG", "deep/c.png", "deep/er/d.tif"]):
        write_image(tmp_path / "images" / name, level=50 * k)
    (tmp_path / "images/notes.txt").write_text("no image")
    (tmp_path / "images/LICENSE").write_text("no image")
    folder = tmp_path / "images"
    (source,) = sources_of(folder / "b.png", folder, folder / "**/*.*g")
    assert names_of(source) == ["b", "a", "c"]
    assert (source.count, source.rate) == (3, None)
    (deep,) = sources_of(tmp_path / "images/**/*.tif")
    (frame,) = deep
    assert (frame.name, deep.name) == ("d", "d")
    assert np.array_equal(frame.image, grey(150))


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (source,) = sources_of(write_image(tmp_path / "a[1].png"))
    assert names_of(source) == ["a[1]"]


def test_images_of_one_name_get_numbers(tmp_path: Path) -> None:
    files = [write_image(tmp_path / name) for name in ("x/a.png", "y/a.png", "a.jpg", "a_2.png")]
    (source,) = sources_of(*files)
    assert names_of(source) == ["a", "a_2", "a_3", "a_2_2"]


def test_images_that_cannot_be_read_are_noted_and_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    write_image(tmp_path / "c.png")
    (source,) = sources_of(tmp_path)
    assert names_of(source) == ["a", "c"]
    (problem,) = source.problems
    assert f"'{tmp_path / 'b.png'}' is not an image that can be read" in problem


def test_files_without_suffix_are_taken_for_what_they_hold(tmp_path: Path) -> None:
    write_video(tmp_path / "clip")
    write_image(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "picture")
    (tmp_path / "notes").write_text("neither")
    images, clip = sources_of(tmp_path)
    assert names_of(images) == ["picture"]
    assert names_of(clip) == ["clip_000000"]
    (source,) = sources_of(tmp_path / "notes")  # asked for by name
    assert names_of(source) == []
    assert "notes' is not an image that can be read" in source.problems[0]


def test_every_video_is_a_source_of_its_own_after_the_images(tmp_path: Path) -> None:
    inputs = [write_video(tmp_path / name) for name in ("b.mp4", "a.AVI", "d.mts", "e.flv")]
    sources = sources_of(*inputs, write_image(tmp_path / "c.png"))
    assert [type(source) for source in sources] == [ImageFiles] + 4 * [VideoFile]
    assert [source.name for source in sources] == ["c", "b", "a", "d", "e"]


def test_videos_of_one_name_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    files = [write_video(tmp_path / name) for name in ("x/a.avi", "a.avi")]
    assert [source.name for source in sources_of(*files)] == ["a", "a_2"]


def test_a_video_that_cannot_be_read_is_noted_and_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "c.png")
    content = Path(write_video(tmp_path / "a.mp4")).read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[:100])
    (tmp_path / "d.ts").write_text("const a = 1\n")
    problems: list[str] = []
    sources = find_sources([str(tmp_path)], problems=problems)
    assert [source.name for source in sources] == ["c", "a"]
    for name, problem in zip(("b.mp4", "d.ts"), problems, strict=True):
        assert f"'{tmp_path / name}' as a video" in problem


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.png' is neither a file nor"):
        sources_of(tmp_path / "nothing.png")
    with pytest.raises(FileNotFoundError, match=r"matches none as a pattern"):
        sources_of(tmp_path / "*.png")
    with pytest.raises(FileNotFoundError, match=r"holds no image or video; .*\*\*/\*\.png' in quo"):
        sources_of(tmp_path)


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(MediaError, match="camera 97 cannot be opened; check that it is attached"):
        Camera(index=97)


def test_frames_of_a_camera_have_the_times_of_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands for the camera; its pictures come at 0, 0.33, 0.36 and 0.95 seconds."""
    path = write_video(tmp_path / "a.mp4", (20, 80, 140, 200))
    clock = iter([100.0, 100.0, 100.33, 100.36, 100.95])
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    camera = Camera(index=path)  # OpenCV takes names as well as numbers
    copy = tmp_path / "copy.mp4"
    with VideoWriter(path=copy, rate=camera.rate) as writer:
        for frame in camera:
            writer.write(frame.image, frame)
    again = list(VideoFile(path=copy))
    assert [frame.time for frame in again] == pytest.approx([0, 0.33, 0.36, 0.95], abs=1e-3)
    assert [frame.image.mean() for frame in again] == pytest.approx([20, 80, 140, 200], abs=8)


def test_pictures_are_png_files_of_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    with PngFiles(folder=tmp_path / "new/folder") as sink:
        sink.write(pixels, Frame("a.b", pixels))
        sink.write(255 - pixels, Frame("c", pixels))
    assert listing(tmp_path / "new/folder") == ["a.b.png", "c.png"]
    assert np.array_equal(np.array(Image.open(tmp_path / "new/folder/a.b.png")), pixels)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    for name in ("a.png", "b.jpg"):
        write_image(folder / name)
    write_video(folder / "clip.mp4")
    return folder


def test_a_folder_gets_images_and_clips(inputs: Path, tmp_path: Path) -> None:
    images, clip = sinks_for(sources_of(inputs), tmp_path / "out.v2")
    assert isinstance(images, PngFiles)
    assert isinstance(clip, VideoWriter)
    assert (images.folder, images.name) == (tmp_path / "out.v2", None)
    assert (clip.path, clip.rate) == (tmp_path / "out.v2/clip.mp4", pytest.approx(12.5))
    assert not (tmp_path / "out.v2").exists()


def test_a_single_input_goes_to_a_file(inputs: Path, tmp_path: Path) -> None:
    (sink,) = sinks_for(sources_of(inputs / "a.png"), tmp_path / "new/x.png")
    sink.write(grey(1), Frame("a", grey(1)))
    assert listing(tmp_path / "new") == ["x.png"]
    (sink,) = sinks_for(sources_of(inputs / "clip.mp4"), tmp_path / "x.webm")
    assert sink.path == tmp_path / "x.webm"


@pytest.mark.parametrize(
    ("names", "output", "says"),
    [
        (["*"], "x.png", r"x\.png' is a single file for several inputs; name a folder"),
        (["*.[pj]*g"], "x.png", "single file for several inputs"),
        (["a.png"], "x.jpg", r"an image is written as \.png; or name a folder"),
        (["a.png"], "x.mp4", r"an image is written as \.png"),
        (["clip.mp4"], "x.png", r"a clip is written as \.mp4, "),
        (["clip.mp4"], "x.wmv", r"a clip is written as \.mp4, "),
        (["a.png"], "inputs/../file", "is a file, expected a folder"),
        (["*"], "inputs", r"inputs/a\.png' is an input and would be replaced"),
        (["clip.mp4"], "inputs/../inputs/clip.mp4", r"clip\.mp4' is an input and would be"),
    ],
)
def test_outputs_that_do_not_go_with_the_inputs_are_refused(
    inputs: Path, tmp_path: Path, names: list[str], output: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    sources = sources_of(*(inputs / name for name in names))
    with pytest.raises(LangDGError, match=says):
        sinks_for(sources, tmp_path / output)


class Collecting(AbstractContextManager):
    """Keeps names; after so many its user has seen enough."""

    is_closed = False

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.names: list[str] = []

    def write(self, picture: np.ndarray, frame: Frame) -> None:
        self.names.append(frame.name)
        self.is_closed = len(self.names) >= self.enough

    def __exit__(self, *_: object) -> None:
        pass


def two_clips(folder: Path) -> list[FrameSource]:
    return sources_of(*(write_video(folder / f"{name}.mp4", (0, 80, 160)) for name in "ab"))


def drawn(source: FrameSource) -> Iterator[tuple[Frame, np.ndarray]]:
    return ((frame, frame.image) for frame in source)


def test_a_sink_that_is_closed_ends_all_sources(tmp_path: Path) -> None:
    sinks = [Collecting(enough=1), Collecting(enough=9)]
    write_sources(two_clips(tmp_path), sinks, drawn)
    assert [sink.names for sink in sinks] == [["a_000000"], []]


def test_a_source_that_fails_is_noted_and_the_next_one_follows(tmp_path: Path) -> None:
    sources, sinks = two_clips(tmp_path), [Collecting(enough=9), Collecting(enough=9)]

    def pictures(source: FrameSource) -> Iterator[tuple[Frame, np.ndarray]]:
        for frame in source:
            if frame.name == "a_000001":
                raise LangDGError("too dark")
            yield frame, frame.image

    write_sources(sources, sinks, pictures)
    assert sinks[0].names == ["a_000000"]
    assert sinks[1].names == ["b_000000", "b_000001", "b_000002"]
    assert [source.problems for source in sources] == [["'a': too dark"], []]


def test_ctrl_c_keeps_what_a_camera_showed_and_ends_files(tmp_path: Path) -> None:
    def interrupted(source: FrameSource) -> Iterator[tuple[Frame, np.ndarray]]:
        yield next(drawn(source))
        raise KeyboardInterrupt

    path = write_video(tmp_path / "a.mp4", (0, 80))
    for source in (Camera(index=path), VideoFile(path=Path(path))):
        copy = VideoWriter(path=tmp_path / f"{type(source).__name__}.mp4")
        if isinstance(source, Camera):
            write_sources([source], [copy], interrupted)
        else:
            with pytest.raises(KeyboardInterrupt):
                write_sources([source], [copy], interrupted)
    assert listing(tmp_path) == ["Camera.mp4", "a.mp4"]


def test_a_window_without_display_is_an_error_and_not_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")  # elsewhere windows need no display variable
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MediaError, match="no display for a window, or OpenCV is a build without"):
        Window(title="x", wait=False)
