"""What users bring: an image or a clip of any kind, within limits."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..data import read_image
from ..utils.errors import LangDGError
from ..visualization import Frame, MediaError, VideoFile, is_video

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is accepted and how much of it is looked at.

    Attributes:
        megabytes: of a file; larger ones are refused while they are sent.
        longest_side: pixels of an image; larger ones are scaled down before they are predicted.
        frames: of a clip; those that follow are left out.

    Raises:
        LangDGError: if one of them is not positive.
    """

    megabytes: int = 64
    longest_side: int = 2048
    frames: int = 250

    def __post_init__(self) -> None:
        if min(self.megabytes, self.longest_side, self.frames) < 1:
            raise LangDGError(f"{self}: every limit must be 1 or more")


class Upload:
    """The images of a file, each scaled down to the limit.

    Attributes:
        path: the file.
        is_clip: whether it is a video or an animated image.
        rate: frames a second of a clip; 0 of an image.
        count: of the images, as far as the file says, cut to the limit.
        remarks: what was scaled or left out so far, in words.

    Raises:
        MediaError: if it is a clip that cannot be read; raised by the constructor.
    """

    def __init__(self, *, path: Path, limits: Limits) -> None:
        self.path = path
        self.is_clip = is_video(path)
        self.remarks: list[str] = []
        self._limits = limits
        self._video = VideoFile(path=path) if self.is_clip else None
        self.rate = self._video.rate if self._video else 0.0
        found = (self._video.count or limits.frames) if self._video else 1
        self.count = min(found, limits.frames)

    def frames(self) -> Generator[Frame, None, None]:
        """The images one after the other, with their times; of a clip at least one.

        Raises:
            ImageFileError: if the image cannot be read.
            MediaError: if the clip has no frame.
        """
        if self._video is None:
            yield Frame(self.path.stem, self._fitted(read_image(self.path)))
            return
        read = 0
        for read, frame in enumerate(self._video, start=1):
            if read > self._limits.frames:
                self._remark(f"only the first {self._limits.frames} frames")
                return
            yield frame._replace(image=self._fitted(frame.image))
        if not read:
            raise MediaError(self._video.problems[0])
        for problem in self._video.problems:
            self._remark(problem)

    def first(self) -> Image:
        """The image, or the clip's first frame; errors as of `frames`."""
        if self.is_clip:
            self._remark("the clip's first frame")
        return next(self.frames()).image

    def _fitted(self, image: Image) -> Image:
        height, width = image.shape[:2]
        scale = self._limits.longest_side / max(height, width)
        if scale >= 1:
            return image
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._remark(f"scaled down from {width} x {height} to {size[0]} x {size[1]} pixels")
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _remark(self, text: str) -> None:
        if text not in self.remarks:  # the frames of a clip have the same one
            self.remarks.append(text)
