"""Sources of images and sinks of pictures: files, folders, videos, cameras, windows."""

import glob
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import cv2

from ..data import ImageFileError, read_image, to_rgb
from ..data.image_io import IMAGE_SUFFIXES
from ..utils.errors import LangDGError
from .sem_seg import Image, write_png
from .video import (
    DEFAULT_RATE,
    FORMATS,
    VIDEO_SUFFIXES,
    Frame,
    MediaError,
    VideoFile,
    VideoWriter,
    is_video,
)

_KEYS_TO_CLOSE = (27, ord("q"))  # Escape
_LARGEST_WIDTH = 1600  # initial width of a window in pixels
_HIGHEST_RATE = 240  # frames per second; higher rates are placeholders of drivers


class ImageFiles:
    """Image files with the attributes of a `VideoFile`; unreadable files are left out.

    Attributes:
        names: names of the frames, in the order of the files.
        rate: None, because they are not a clip.
    """

    rate: None = None

    def __init__(self, *, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.names = _unique([path.stem for path in paths])
        self.name = paths[0].stem if len(paths) == 1 else "images"
        self.count = len(paths)
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        for name, path in zip(self.names, self.paths, strict=True):
            try:
                image = read_image(path)
            except ImageFileError as error:
                self.problems.append(str(error))
            else:
                yield Frame(name, image)


class Camera:
    """Endless frames of a camera, with the times at which OpenCV read them.

    It has the attributes of a `VideoFile`; `count` is None.
    """

    count: None = None
    paths: Sequence[Path] = ()

    def __init__(self, *, index: int) -> None:
        self.index = index
        self.name = f"camera{index}"
        self.problems: list[str] = []
        with self._opened() as capture:
            rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= _HIGHEST_RATE else DEFAULT_RATE

    def __iter__(self) -> Iterator[Frame]:
        with self._opened() as capture:
            began = time.monotonic()
            for number in itertools.count():
                is_read, bgr = capture.read()
                if not is_read:
                    return
                moment = time.monotonic() - began
                yield Frame(f"{self.name}_{number:06d}", to_rgb(bgr[..., ::-1]), moment)

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        capture = cv2.VideoCapture(self.index)
        try:
            if not capture.isOpened():
                raise MediaError(
                    f"camera {self.index} cannot be opened; check that it is attached, that no "
                    "other program uses it, and try another number (the first camera is 0)"
                )
            yield capture
        finally:
            capture.release()


FrameSource = ImageFiles | VideoFile | Camera


def find_sources(inputs: Iterable[str], *, problems: list[str]) -> list[FrameSource]:
    """Find sources: one for all images, then one per video.

    Args:
        inputs: files, folders (all images and videos directly in them) and patterns such as
            "night/*.jpg" or "city/**/*.png", each in order of names.
        problems: list for messages about unreadable videos, which are left out.
    """
    images: list[Path] = []
    clips: list[VideoFile] = []
    for path in dict.fromkeys(path for name in inputs for path in _files(name)):
        if not is_video(path):
            images.append(path)
            continue
        try:
            clips.append(VideoFile(path=path))
        except MediaError as error:
            problems.append(str(error))
    for clip, name in zip(clips, _unique([clip.name for clip in clips]), strict=True):
        clip.name = name
    return [*([ImageFiles(paths=images)] if images else []), *clips]


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and _is_picture(p))
        below = next((p.suffix for p in path.rglob("*") if _is_picture(p)), ".png")
        problem = (
            f"folder '{name}' holds no image or video; for its subfolders pass "
            f"'{path / '**' / f'*{below}'}' in quotes"
        )
    else:
        found = sorted(p for p in map(Path, glob.glob(name, recursive=True)) if p.is_file())
        problem = f"'{name}' is neither a file nor a folder, and matches none as a pattern"
    if not found:
        raise FileNotFoundError(problem)
    return found


def _is_picture(path: Path) -> bool:
    """Whether a file is an image or a video, by its suffix or, without suffix, its content."""
    if path.suffix:
        return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
    with suppress(ImageFileError):
        return read_image(path).size > 0
    return is_video(path)


def _unique(names: Sequence[str]) -> list[str]:
    """Make names distinct; repeated ones get a number."""
    unique: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        unique[next(one for one in itertools.chain([name], numbered) if one not in unique)] = None
    return list(unique)


class PngFiles(AbstractContextManager["PngFiles"]):
    """Writes a PNG file per picture, atomically.

    Args:
        folder: folder, created when the first picture is written.
        name: name of the only picture, without suffix; None to name files after their frames.
    """

    is_closed = False

    def __init__(self, *, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        self.name = name

    def write(self, picture: Image, frame: Frame) -> None:
        """Write a picture, (H, W, 3) uint8 RGB."""
        write_png(self.folder / f"{self.name or frame.name}.png", picture)

    def __exit__(self, *_: object) -> None:
        pass


class Window(AbstractContextManager["Window"]):
    """A window on the screen; Escape, Q or a click closes it.

    Args:
        title: title of the window.
        wait: whether to show every picture until a key is pressed.
    """

    is_closed = False

    def __init__(self, *, title: str, wait: bool) -> None:
        # Without a display, OpenCV would end the process instead of raising an error.
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not cv2.currentUIFramework() or (sys.platform.startswith("linux") and not has_display):
            raise MediaError(
                "there is no display for a window, or OpenCV is a build without windows "
                "(opencv-python-headless); write files instead"
            )
        self.title = title
        self.wait = wait
        self._is_open = False

    def write(self, picture: Image, frame: Frame) -> None:
        """Show a picture, (H, W, 3) uint8 RGB, instead of the previous one."""
        if not self._is_open:
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            height, width = picture.shape[:2]
            shown = min(width, _LARGEST_WIDTH)
            cv2.resizeWindow(self.title, shown, round(height * shown / width))
            self._is_open = True
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(0 if self.wait else 1)
        self.is_closed = key & 0xFF in _KEYS_TO_CLOSE or not self._is_visible()

    def __exit__(self, *_: object) -> None:
        if self._is_open and self._is_visible():
            cv2.destroyWindow(self.title)

    def _is_visible(self) -> bool:
        with suppress(cv2.error):  # raised by some builds after the last window is closed
            return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
        return False


PictureSink = PngFiles | VideoWriter | Window


def sinks_for(sources: Sequence[FrameSource], output: Path) -> list[PictureSink]:
    """Create sinks for the pictures of every source; nothing is written before the first picture.

    Args:
        sources: sources of `find_sources`, or a camera.
        output: folder for a PNG file per image and an MP4 video per clip; or, for a single image or
            clip, a file: `.png`, or a video of `FORMATS`.
    """
    is_file = _is_file(sources, output)
    folder = output.parent if is_file else output
    sinks: list[PictureSink] = []
    targets: list[Path] = []
    for source in sources:
        if isinstance(source, ImageFiles):
            name = output.stem if is_file else None
            sinks.append(PngFiles(folder=folder, name=name))
            targets += [folder / f"{name or each}.png" for each in source.names]
        else:
            path = output if is_file else folder / f"{source.name}.mp4"
            sinks.append(VideoWriter(path=path, rate=source.rate))
            targets.append(path)
    inputs = {path.resolve() for source in sources for path in source.paths}
    for target in targets:
        if target.resolve() in inputs:
            raise LangDGError(
                f"'{target}' is an input and would be replaced; choose another output"
            )
    return sinks


def write_sources(
    sources: Sequence[FrameSource],
    sinks: Sequence[PictureSink],
    pictures: Callable[[FrameSource], Iterable[tuple[Frame, Image]]],
) -> None:
    """Draw one source after the other, until a window is closed.

    An error is added to the problems of its source, and the next source follows. Ctrl-C ends the
    recording of a camera, which is kept.

    Args:
        sources: sources of images.
        sinks: sink of each source.
        pictures: draws a source and yields its frames with their pictures.
    """
    for source, sink in zip(sources, sinks, strict=True):
        ended_by = [KeyboardInterrupt] if isinstance(source, Camera) else []
        try:
            with sink, suppress(*ended_by):
                for frame, picture in pictures(source):
                    sink.write(picture, frame)
                    if sink.is_closed:
                        return
        except (LangDGError, RuntimeError, cv2.error) as error:
            source.problems.append(f"'{source.name}': {error}")


def _is_file(sources: Sequence[FrameSource], output: Path) -> bool:
    """Whether the output is a single file, not a folder."""
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        if output.is_file():
            raise LangDGError(f"output '{output}' is a file, expected a folder or a name to write")
        return False
    images = [source for source in sources if isinstance(source, ImageFiles)]
    expected = [".png"] if images else list(FORMATS)
    if suffix not in expected:
        kind = "an image" if images else "a clip"
        raise LangDGError(
            f"output '{output}': {kind} is written as {', '.join(expected)}; or name a folder"
        )
    if len(sources) > 1 or (images and images[0].count != 1):
        raise LangDGError(f"output '{output}' is a single file for several inputs; name a folder")
    return True
