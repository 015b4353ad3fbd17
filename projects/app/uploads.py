"""Reading of uploaded images and clips within limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from langdg_d2.utils.errors import require_int
from langdg_d2.visualization import Frame, MediaError, VideoFile, is_video, read_image

Image = npt.NDArray[np.uint8]


@dataclass
class Limits:
    """Limits of uploads: file size in MB, longest side in pixels, number of frames."""

    megabytes: int
    longest_side: int
    frames: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require_int(name, value)


class Upload:
    """The frames of an uploaded file, scaled down to the limit; an image has one frame.

    Attributes:
        video: clip or animated image; None for an image.
        count: number of frames, which is an estimate in many formats.
        remarks: descriptions of scaling and omitted frames so far.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.video = VideoFile(path=path) if is_video(path) else None
        self.count = min(self.video.count or limits.frames, limits.frames) if self.video else 1
        self.remarks: list[str] = []
        self._limits = limits

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        for number, frame in enumerate(self.video or self._image(), start=1):
            if number > self._limits.frames:
                self.remarks.append(f"only the first {self._limits.frames} frames")
                return
            yield frame._replace(image=self._scaled_down(frame.image))
        if self.video:
            if not number:
                raise MediaError(self.video.problems[0])
            name = self.path.name  # hides the folder of uploads
            self.remarks += [text.replace(str(self.path), name) for text in self.video.problems]

    def first_image(self) -> Image:
        """Return the image, or the clip's first frame, as (H, W, 3) uint8 RGB."""
        if self.video:
            self.remarks.append("the clip's first frame")
        return next(iter(self)).image

    def _image(self) -> Iterator[Frame]:
        yield Frame(self.path.stem, read_image(self.path))

    def _scaled_down(self, image: Image) -> Image:
        height, width = image.shape[:2]
        scale = self._limits.longest_side / max(height, width)
        if scale >= 1:
            return image
        size = max(1, round(scale * width)), max(1, round(scale * height))
        remark = f"scaled down from {width} x {height} to {size[0]} x {size[1]} pixels"
        if remark not in self.remarks:  # shared by all frames of a clip
            self.remarks.append(remark)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
