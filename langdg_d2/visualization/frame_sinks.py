"""Where pictures go: PNG files, videos, a window."""

import math
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..data.image_io import IMAGE_SUFFIXES
from ..utils.errors import LangDGError
from ..utils.file_io import make_folder
from .clips import VIDEO_SUFFIXES, Camera, MediaError
from .frame_sources import FrameSource, ImageFiles
from .sem_seg import write_png
from .video_codecs import CODECS, choose_codec, even_sides, written_frames

Image = npt.NDArray[np.uint8]


class PictureSink(AbstractContextManager["PictureSink"]):
    """Takes pictures one after the other, in a `with` block at whose end all of them are there.

    Attributes:
        is_closed: whether somebody has seen enough.
    """

    is_closed = False

    @abstractmethod
    def write(self, name: str, picture: Image) -> None:
        """Take a picture, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def __exit__(self, kind: object, *_: object) -> None:
        """Finish, or after an error leave nothing unfinished."""


class PngFiles(PictureSink):
    """A PNG file for each picture, whole or not there; an earlier file is replaced.

    Args:
        folder: made when the first is written.
        name: of the only picture, without suffix; None to name each file as its picture.
    """

    def __init__(self, *, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        self.name = name

    def write(self, name: str, picture: Image) -> None:
        write_png(self.folder / f"{self.name or name}.png", picture)

    def __exit__(self, kind: object, *_: object) -> None:
        """Nothing is left to do: every file is finished when it is written."""


class VideoWriter(PictureSink):
    """A video of all pictures; its file appears, complete and checked, at the end.

    Sides that are odd, which few codecs take, grow by a pixel that repeats their last one.

    Args:
        path: its suffix, of `CODECS`, decides on the format; an earlier file is replaced.
        rate: frames a second.

    Raises:
        MediaError: if OpenCV has no codec for the format, or what it wrote reads otherwise.
        LangDGError: if a picture is not of the first one's size.
    """

    def __init__(self, *, path: Path, rate: float) -> None:
        self.path = path
        self.rate = rate
        self._unfinished = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def write(self, name: str, picture: Image) -> None:
        if self._writer is None:
            self._shape = picture.shape
            self._writer = self._open()
        if picture.shape != self._shape:
            raise LangDGError(
                f"frame '{name}' is {picture.shape} and the first one {self._shape}; the frames "
                f"of '{self.path}' must be of one size"
            )
        self._writer.write(cv2.cvtColor(even_sides(picture), cv2.COLOR_RGB2BGR))
        self._count += 1

    def __exit__(self, kind: object, *_: object) -> None:
        if self._writer is None:
            return
        try:
            self._writer.release()
            if kind is None:
                self._check()
                os.replace(self._unfinished, self.path)
        finally:
            self._unfinished.unlink(missing_ok=True)

    def _open(self) -> cv2.VideoWriter:
        height, width = (side + side % 2 for side in self._shape[:2])
        make_folder(self.path.parent)
        codec = choose_codec(self.path.suffix.lower(), height, width)
        fourcc = cv2.VideoWriter.fourcc(*codec)
        writer = cv2.VideoWriter(str(self._unfinished), fourcc, self.rate, (width, height))
        if not writer.isOpened():
            raise MediaError(
                f"OpenCV cannot write '{self.path}'; check that the folder may be written to and "
                "that its disk is not full"
            )
        return writer

    def _check(self) -> None:
        """OpenCV does not say when a disk is full; what can be read back does."""
        found = written_frames(self._unfinished)
        if found != self._count:
            raise MediaError(
                f"of {self._count} frames {found} can be read back from '{self.path}', which was "
                "not kept; is the disk full?"
            )


class LiveVideoWriter(VideoWriter):
    """A video that plays as fast as its pictures came, at whatever rate that was.

    By the clock a picture is repeated until the next one comes, or left out where several come in
    the time of a frame. Arguments as of `VideoWriter`.
    """

    def __init__(self, *, path: Path, rate: float) -> None:
        super().__init__(path=path, rate=rate)
        self._began: float | None = None
        self._last: Image | None = None

    def write(self, name: str, picture: Image) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        due = math.floor((now - self._began) * self.rate)  # frames before this picture
        while self._last is not None and self._count < due:
            super().write(name, self._last)
        if self._count <= due:
            super().write(name, picture)
        self._last = picture


def sinks_for(sources: Sequence[FrameSource], output: Path) -> list[PictureSink]:
    """Where the pictures of every source go; nothing is made before the first is written.

    Args:
        sources: of `find_sources`, or a camera.
        output: a folder, which gets a PNG file for each image and an MP4 video for each clip; or,
            for a single image or clip, a file: `.png`, or a video of `CODECS`.

    Raises:
        LangDGError: if the output does not go with the sources, or would replace one of them.
    """
    file_suffix = _file_suffix(sources, output)
    sinks: list[PictureSink] = []
    targets: list[Path] = []
    for source in sources:
        folder = output.parent if file_suffix else output
        if isinstance(source, ImageFiles):
            name = output.stem if file_suffix else None
            sinks.append(PngFiles(folder=folder, name=name))
            targets += [folder / f"{name or each}.png" for each in source.names]
        else:
            path = output if file_suffix else folder / f"{source.name}.mp4"
            kind = LiveVideoWriter if isinstance(source, Camera) else VideoWriter
            sinks.append(kind(path=path, rate=source.rate))
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
    pictures: Callable[[FrameSource], Iterable[tuple[str, Image]]],
) -> None:
    """Write what is drawn of one source after the other, until a sink is closed.

    A source that fails is noted in its own problems, and the next one follows. Ctrl-C ends the
    pictures of a camera, which are kept.

    Args:
        sources: where images come from.
        sinks: where the pictures of each go.
        pictures: names and pictures of a source, one after the other.
    """
    for source, sink in zip(sources, sinks, strict=True):
        try:
            _write(source, sink, pictures(source))
        except (LangDGError, RuntimeError, cv2.error) as error:
            source.problems.append(f"'{source.name}': {error}")
        if sink.is_closed:
            return


def _write(source: FrameSource, sink: PictureSink, pictures: Iterable[tuple[str, Image]]) -> None:
    with sink:
        try:
            for name, picture in pictures:
                sink.write(name, picture)
                if sink.is_closed:
                    return
        except KeyboardInterrupt:
            if not isinstance(source, Camera):
                raise


def _file_suffix(sources: Sequence[FrameSource], output: Path) -> str:
    """Suffix of the one file to write, "" for a folder."""
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        if output.is_file():
            raise LangDGError(f"output '{output}' is a file, expected a folder or a name to write")
        return ""
    images = [source for source in sources if isinstance(source, ImageFiles)]
    expected = [".png"] if images else list(CODECS)
    if suffix not in expected:
        kind = "an image" if images else "a clip"
        raise LangDGError(
            f"output '{output}': {kind} is written as {', '.join(expected)}; or name a folder"
        )
    if len(sources) > 1 or (images and images[0].count != 1):
        raise LangDGError(f"output '{output}' is a single file for several inputs; name a folder")
    return suffix
