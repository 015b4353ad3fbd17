"""The frames of videos and cameras, read by OpenCV."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..utils.errors import LangDGError

VIDEO_SUFFIXES = frozenset(
    f".{end}" for end in ("3gp", "avi", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "webm", "wmv")
)
# How they begin: RIFF, Matroska, MPEG program and video streams, ASF; MPEG transport streams; boxes
# of QuickTime and MP4, whose names stand behind their lengths. OpenCV would also follow playlists
# and scripts, whatever their names end with, which lead to other files and machines.
_BEGINNINGS = (
    b"RIFF",
    b"\x1aE\xdf\xa3",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
    b"0&\xb2u",
    b"G",
)
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_DEFAULT_RATE = 25.0  # frames a second, where a file or a camera does not say
_HIGHEST_RATE = 240.0  # more is no rate: browsers that record write how fine their clock is

_logger = logging.getLogger(__name__)


class MediaError(LangDGError):
    """A video, a camera or a window cannot be used; the message says which, and what helps."""


class Frame(NamedTuple):
    """An image with a name that no other of its source has.

    Attributes:
        name: begins with the file's, without its suffix.
        image: (H, W, 3) uint8 RGB.
    """

    name: str
    image: npt.NDArray[np.uint8]


class VideoFile:
    """The frames of a video, turned as it asks for.

    Attributes:
        name: of the file, without suffix; begins the frames' names.
        count: of the frames, as the file's header promises; None if it does not.
        rate: frames a second.
        paths: the file.
        problems: what could not be read so far, in words.

    Raises:
        MediaError: if OpenCV cannot read it, or its frames are larger than images may be (see
            `read_image`); when it is made, not later.
    """

    def __init__(self, *, path: Path) -> None:
        self.paths = [path]
        self.name = path.stem
        self.problems: list[str] = []
        with self._opened() as capture:
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            self.count = round(count) if count > 0 else None
            self.rate = _rate(capture, f"'{path}'")
            _check_pixels(capture, path)

    def __iter__(self) -> Iterator[Frame]:
        read = 0
        with self._opened() as capture:
            for image in _frames(capture):
                yield Frame(f"{self.name}_{read:06d}", image)
                read += 1
        if not read:
            self.problems.append(f"'{self.paths[0]}' has no frame that can be read")
        elif self.count and read < self.count:
            _logger.warning(
                "'%s' ended after %d of the %d frames that its header promises; if that is a "
                "surprise, it is damaged",
                *(self.paths[0], read, self.count),
            )

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        path = self.paths[0]
        if not _begins_as_video(path):
            raise _unreadable(path)
        with _released(cv2.VideoCapture(str(path))) as capture:
            if not capture.isOpened():
                raise _unreadable(path)
            yield capture


class Camera:
    """The frames of a camera, without end.

    Attributes:
        name: begins the frames' names.
        count: None, for there is no last one.
        rate: frames a second, as the camera says.
        paths: none.
        problems: none.

    Raises:
        MediaError: if it cannot be opened; when it is made, not later.
    """

    count: None = None

    def __init__(self, *, index: int) -> None:
        self.index = index
        self.name = f"camera{index}"
        self.paths: Sequence[Path] = ()
        self.problems: list[str] = []
        with self._opened() as capture:
            self.rate = _rate(capture, self.name)

    def __iter__(self) -> Iterator[Frame]:
        with self._opened() as capture:
            for number, image in enumerate(_frames(capture)):
                yield Frame(f"{self.name}_{number:06d}", image)

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        with _released(cv2.VideoCapture(self.index)) as capture:
            if not capture.isOpened():
                raise MediaError(
                    f"camera {self.index} cannot be opened; check that it is attached, that no "
                    "other program uses it, and try another number (the first camera is 0)"
                )
            yield capture


def _begins_as_video(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return False
    return start.startswith(_BEGINNINGS) or start[4:] in _FIRST_BOXES


def _unreadable(path: Path) -> MediaError:
    return MediaError(
        f"OpenCV cannot read '{path}' as a video; check that it plays elsewhere, or convert it "
        "to MP4"
    )


def _rate(capture: cv2.VideoCapture, name: str) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    if 0 < rate <= _HIGHEST_RATE:
        return rate
    _logger.warning(
        "%s says %g frames a second, which is no rate to play at; taken as %g",
        *(name, rate, _DEFAULT_RATE),
    )
    return _DEFAULT_RATE


def _check_pixels(capture: cv2.VideoCapture, path: Path) -> None:
    width, height = (
        round(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise MediaError(
            f"the frames of '{path}' have {width}x{height} pixels, more than the limit of "
            f"{limit:,} for images; scale them down, or set PIL.Image.MAX_IMAGE_PIXELS higher if "
            "you trust it"
        )


def _frames(capture: cv2.VideoCapture) -> Iterator[npt.NDArray[np.uint8]]:
    while True:
        there, bgr = capture.read()
        if not there:
            return
        yield np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def _released(capture: cv2.VideoCapture) -> Iterator[cv2.VideoCapture]:
    try:
        yield capture
    finally:
        capture.release()
