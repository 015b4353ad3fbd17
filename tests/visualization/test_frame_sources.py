"""Images, folders, patterns and videos give all their frames, under names of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langdg_d2.visualization import MediaError, VideoFile, VideoWriter, find_sources
from langdg_d2.visualization.frame_sources import FrameSource, ImageFiles


def grey(level: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_image(path: Path, level: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey(level)).save(path)
    return str(path)


def write_video(path: Path, levels: list[int], rate: float = 12.5) -> str:
    with VideoWriter(path=path, rate=rate) as writer:
        for level in levels:
            writer.write("", grey(level))
    return str(path)


def names_of(source: FrameSource) -> list[str]:
    return [frame.name for frame in source]


def test_files_folders_and_patterns_are_one_source_without_repetition(tmp_path: Path) -> None:
    for k, name in enumerate(["b.png", "a.JPG", "deep/c.png", "deep/er/d.tif"]):
        write_image(tmp_path / "images" / name, level=50 * k)
    (tmp_path / "images/notes.txt").write_text("no image")
    inputs = [str(tmp_path / "images/b.png"), str(tmp_path / "images")]
    (source,) = find_sources([*inputs, str(tmp_path / "images/**/*.*g")])
    assert names_of(source) == ["b", "a", "c"]
    assert (source.count, source.rate) == (3, None)
    (deep,) = find_sources([str(tmp_path / "images/**/*.tif")])
    (frame,) = deep
    assert (frame.name, deep.name) == ("d", "d")
    assert np.array_equal(frame.image, grey(150))


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (source,) = find_sources([write_image(tmp_path / "a[1].png")])
    assert names_of(source) == ["a[1]"]


def test_images_of_one_name_get_numbers(tmp_path: Path) -> None:
    files = [write_image(tmp_path / name) for name in ("x/a.png", "y/a.png", "a.jpg", "a_2.png")]
    (source,) = find_sources(files)
    assert names_of(source) == ["a", "a_2", "a_3", "a_2_2"]


def test_images_that_cannot_be_read_are_noted_and_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    write_image(tmp_path / "c.png")
    (source,) = find_sources([str(tmp_path)])
    assert names_of(source) == ["a", "c"]
    (problem,) = source.problems
    assert f"'{tmp_path / 'b.png'}' is not an image that can be read" in problem


def test_every_video_is_a_source_of_its_own_after_the_images(tmp_path: Path) -> None:
    inputs = [write_video(tmp_path / name, [0]) for name in ("b.mp4", "a.AVI")]
    sources = find_sources([*inputs, write_image(tmp_path / "c.png")])
    assert [type(source) for source in sources] == [ImageFiles, VideoFile, VideoFile]
    assert [source.name for source in sources] == ["c", "b", "a"]


def test_videos_of_one_name_get_numbers(tmp_path: Path) -> None:
    files = [write_video(tmp_path / name, [0]) for name in ("x/a.avi", "y/a.avi")]
    assert [source.name for source in find_sources(files)] == ["a", "a_2"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.png' is no file or folder"):
        find_sources([str(tmp_path / "nothing.png")])
    with pytest.raises(FileNotFoundError, match=r"as a pattern matches none"):
        find_sources([str(tmp_path / "*.png")])
    with pytest.raises(FileNotFoundError, match=r"holds no image or video; .*\*\*/\*\.png' in quo"):
        find_sources([str(tmp_path)])


def test_what_is_no_video_is_named_before_anything_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"broken")
    with pytest.raises(MediaError, match=r"cannot read '.*a\.mp4' as a video"):
        find_sources([str(tmp_path / "a.mp4")])
