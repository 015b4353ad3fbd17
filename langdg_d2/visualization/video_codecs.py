"""Codecs that this machine's OpenCV can really write, which its builds do not tell."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..utils.errors import LangDGError
from .clips import MediaError

# By format, best first: H.264 plays everywhere, but few builds of OpenCV may write it; VP9 plays
# in browsers; MPEG-4 and Motion JPEG are what every build writes.
CODECS = {
    ".mp4": ("avc1", "vp09", "mp4v"),
    ".mov": ("avc1", "mp4v"),
    ".mkv": ("avc1", "VP90", "mp4v"),
    ".webm": ("VP90", "VP80"),
    ".avi": ("MJPG", "XVID"),
}

_TRIAL_FRAMES = 3
_TRIAL_RATE = 25.0


@cache
def choose_codec(suffix: str, height: int, width: int) -> str:
    """The first codec of a format with which frames can be written and read back.

    Args:
        suffix: of the file name, a key of `CODECS`.
        height: of the frames in pixels, even.
        width: likewise.

    Raises:
        LangDGError: for another suffix.
        MediaError: if there is no such codec.
    """
    if suffix not in CODECS:
        raise LangDGError(f"videos '{suffix}' are not written, only {', '.join(CODECS)}")
    with tempfile.TemporaryDirectory() as folder, _silent():
        for codec in CODECS[suffix]:
            if _works(Path(folder) / f"{codec}{suffix}", codec, height, width):
                return codec
    raise MediaError(
        f"this build of OpenCV can write {height}x{width} pixels (height x width) with none of "
        f"{', '.join(CODECS[suffix])} into '{suffix}'; choose one of {', '.join(CODECS)}, or "
        "install an OpenCV with FFmpeg"
    )


def written_frames(path: Path) -> int:
    """How many frames can be read from a video."""
    capture = cv2.VideoCapture(str(path))
    try:
        count = 0
        while capture.grab():
            count += 1
        return count
    finally:
        capture.release()


def even_sides(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) with its last row and column repeated where H or W is odd."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _works(path: Path, codec: str, height: int, width: int) -> bool:
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, _TRIAL_RATE, (width, height))
    try:
        if not writer.isOpened():
            return False
        for _ in range(_TRIAL_FRAMES):
            writer.write(np.zeros((height, width, 3), np.uint8))
    finally:
        writer.release()
    capture = cv2.VideoCapture(str(path))
    try:
        there, frame = capture.read()
    finally:
        capture.release()
    return there and frame.shape[:2] == (height, width) and written_frames(path) == _TRIAL_FRAMES


@contextmanager
def _silent() -> Iterator[None]:
    """Without what FFmpeg writes to the process' error stream about codecs that it lacks."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
