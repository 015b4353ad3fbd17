"""Reading and writing of video files with PyAV (FFmpeg), with the times of their frames.

Reads all formats that FFmpeg decodes, under any file name: MP4, MOV, MKV, WebM, AVI, MPEG, MPEG-TS,
FLV and more. Animated GIF, PNG, WebP and AVIF are read with Pillow. Writes MP4, MOV and MKV in
H.264, and WebM in VP9.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.format import Flags
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from PIL import Image as Pillow

from ..data import ImageFileError, to_rgb
from ..data.image_io import IMAGE_SUFFIXES, opened, pillow_pixels
from ..utils.errors import LangDGError
from ..utils.file_io import replacing

Image = npt.NDArray[np.uint8]

# Suffixes of files that are recognised as videos without opening them.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m4v"}
    | {".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt"}
    | {".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
# FFmpeg's names of the output formats, by suffix.
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Encoders and their options. Without look-ahead and B-frames, packets are in the order of the
# frames, and few are kept in memory.
_H264 = "libx264", {"preset": "veryfast", "crf": "20", "tune": "zerolatency"}
_VP9 = "libvpx-vp9", {"deadline": "realtime", "cpu-used": "6", "crf": "30", "lag-in-frames": "0"}

DEFAULT_RATE = 25.0  # frames per second, if unknown
_TICKS = 90_000  # per second, the resolution of written times
_LEAST_GAP = 0.1  # seconds; intact files may end this much early

# Formats that may be animated; files with other suffixes are not opened to check.
_ANIMATED = {"AVIF", "GIF", "PNG", "WEBP"}

_logger = logging.getLogger(__name__)


class MediaError(LangDGError):
    """A video, camera or window cannot be used."""


class Frame(NamedTuple):
    """An image of a source.

    Attributes:
        name: unique among the frames of the source; begins with the file's name.
        image: (H, W, 3) uint8 RGB.
        time: seconds since the first frame.
        duration: display time in seconds; None if unknown.
    """

    name: str
    image: Image
    time: float = 0.0
    duration: float | None = None


class VideoFile:
    """Upright frames of a video with their times. Can be iterated repeatedly.

    Only the file itself is read: FFmpeg gets its bytes and may not use its protocols, so playlists
    and scripts cannot open other files or connections. All frames have the size of the first, and
    transparent parts become white.

    Attributes:
        name: name of the file without suffix, the prefix of frame names.
        count: number of frames, an estimate in many formats; 0 if unknown.
        rate: mean number of frames per second according to the file.
        paths: the file.
        problems: messages about what could not be read so far.

    Raises:
        MediaError: by the constructor, if FFmpeg cannot decode the file, or its frames exceed the
            limit for images (see `read_image`).
    """

    def __init__(self, *, path: Path) -> None:
        self.paths = [path]
        self.name = path.stem
        self.problems: list[str] = []
        self.rate = DEFAULT_RATE
        self.count = _number_of_images(path)
        self._is_animation = self.count > 1
        if not self._is_animation:
            with self._opened() as (container, stream):
                self.rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
                seconds = (container.duration or 0) / av.time_base
                self.count = stream.frames or round(seconds * self.rate)

    def __iter__(self) -> Iterator[Frame]:
        return self._animation() if self._is_animation else self._video()

    def _animation(self) -> Iterator[Frame]:
        """Yield the frames of an animated image with Pillow; FFmpeg 8 lacks animated WebP."""
        time = 0.0
        try:
            with opened(self.paths[0]) as (_, image):
                for number in range(self.count):
                    image.seek(number)
                    pixels = to_rgb(pillow_pixels(image))
                    duration = image.info.get("duration", 0) / 1000 or 1 / self.rate
                    yield Frame(f"{self.name}_{number:06d}", pixels, time, duration)
                    time += duration
        except (ImageFileError, EOFError) as error:
            self.problems.append(f"'{self.paths[0]}' is damaged: {error}")

    def _video(self) -> Iterator[Frame]:
        interval = longest = 1 / self.rate
        number, damaged, reached, time = 0, 0, 0.0, -interval
        start: float | None = None
        with self._opened() as (container, stream), suppress(av.FFmpegError):
            promised = _promised(container, stream)
            size = stream.width, stream.height
            for (
                packet
            ) in container.demux():  # including sound, which shows how far the file reaches
                reached = max(reached, _end(packet))
                frames: list[av.VideoFrame] = []
                try:
                    frames = stream.decode(packet) if packet.stream is stream else []
                except av.FFmpegError:
                    damaged += 1
                for frame in frames:
                    last, time = time, time + interval
                    if frame.time is not None:
                        if start is None or frame.time - start <= last:
                            start = frame.time - time  # times of joined recordings restart
                        time = frame.time - start
                    longest = max(longest, time - last)
                    duration = _seconds(frame.duration, frame) or interval
                    if 0 < promised - time < duration:
                        duration = promised - time
                    yield Frame(f"{self.name}_{number:06d}", _upright(frame, *size), time, duration)
                    number += 1
        path = self.paths[0]
        if not number:
            self.problems.append(f"'{path}' has no frame that can be read")
        elif promised - reached > _LEAST_GAP + 1.5 * longest:
            self.problems.append(
                f"'{path}' is truncated: it ends after {reached:.2f} of the {promised:.2f} seconds "
                f"that its header promises, with {number} frames; copy it again"
            )
        elif damaged:
            _logger.warning("'%s' is damaged: %d packets cannot be decoded", path, damaged)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        path, limit = self.paths[0], Pillow.MAX_IMAGE_PIXELS
        options = {"protocol_whitelist": "none"} | ({"max_pixels": str(limit)} if limit else {})
        with ExitStack() as files:
            try:
                file = files.enter_context(path.open("rb", buffering=0))
                file.name = "clip"  # FFmpeg would interpret the file name
                container = files.enter_context(av.open(file, "r", options=options))
            except (OSError, av.FFmpegError) as error:
                raise _unreadable(path, error.strerror or str(error)) from error
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise _unreadable(path, "it contains no pictures that can be decoded")
            if not stream.width * stream.height:  # FFmpeg's way to enforce `max_pixels`
                raise MediaError(
                    f"the frames of '{path}' have no size, or more pixels than the limit of "
                    f"{limit} for images; scale them down, or set PIL.Image.MAX_IMAGE_PIXELS "
                    "higher if you trust it"
                )
            stream.codec_context.options = options
            yield container, stream


class VideoWriter:
    """Writes a video atomically at the end of the `with` block.

    After an error, or without frames, an existing file is kept. Codecs do not support odd sides,
    which grow by a pixel that repeats the last one.

    Args:
        path: path with a suffix of `FORMATS`, which sets the format.
        rate: frames per second for frames without times; otherwise a hint for players.
    """

    is_closed = False

    def __init__(self, *, path: Path, rate: float = DEFAULT_RATE) -> None:
        if path.suffix.lower() not in FORMATS:
            raise LangDGError(
                f"videos '{path.suffix}' are not written, expected one of {', '.join(FORMATS)}"
            )
        self.path = path
        self.rate = rate
        self._files = ExitStack()
        self._stream: VideoStream | None = None
        self._shape: tuple[int, ...] = ()
        self._next = 0  # ticks
        self._durations: dict[int | None, int] = {}  # of frames in the encoder, by time

    def __enter__(self) -> "VideoWriter":
        return self

    def write(self, picture: Image, frame: Frame | None = None) -> None:
        """Append a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            frame: frame with time and duration; None to continue at `rate`.
        """
        if self._stream is None:
            self._shape = picture.shape
            self._stream = self._open()
        if picture.shape != self._shape:
            raise LangDGError(
                f"a picture {picture.shape} follows one of {self._shape}; frames of '{self.path}' "
                "must have the same size"
            )
        height, width = picture.shape[:2]
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        image = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        duration = (frame and frame.duration) or 1 / self.rate
        image.pts = max(self._next, round(_TICKS * frame.time) if frame else 0)
        image.time_base = Fraction(1, _TICKS)
        self._durations[image.pts] = round(_TICKS * duration)
        self._next = image.pts + (1 if frame else self._durations[image.pts])
        self._encode(image)

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    def _open(self) -> VideoStream:
        suffix = self.path.suffix.lower()
        encoder, options = _VP9 if suffix == ".webm" else _H264
        file = self._files.enter_context(replacing(self.path))
        self._container = av.open(file, "w", format=FORMATS[suffix])
        self._files.push(self._finish)
        rate = Fraction(self.rate).limit_denominator(1001)
        stream = cast("VideoStream", self._container.add_stream(encoder, rate, options=options))
        height, width = (side + side % 2 for side in self._shape[:2])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    def _encode(self, image: av.VideoFrame | None) -> None:
        assert self._stream is not None
        for packet in self._stream.encode(image):
            packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)

    def _finish(self, kind: object, *_: object) -> None:
        if kind is None:
            self._encode(None)
            self._container.close()
        else:
            with suppress(OSError, av.FFmpegError):  # the file is removed
                self._container.close()


def is_video(path: Path) -> bool:
    """Whether a file is a video or an animated image.

    Files with unknown suffixes, and images that may be animated, are opened to check.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return True
    if suffix in IMAGE_SUFFIXES and suffix[1:].upper() not in _ANIMATED:
        return False
    if images := _number_of_images(path):
        return images > 1
    with suppress(MediaError):
        return suffix not in IMAGE_SUFFIXES and bool(VideoFile(path=path))
    return False


def _number_of_images(path: Path) -> int:
    """Count the images in an image file, several for animations; 0 for other files."""
    with suppress(ImageFileError), opened(path) as (_, image):
        return getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    return 0


def _unreadable(path: Path, reason: str) -> MediaError:
    return MediaError(
        f"FFmpeg cannot read '{path}' as a video: {reason}; check that it plays elsewhere, or "
        "convert it to MP4"
    )


def _seconds(ticks: int | None, of: av.Packet | av.VideoFrame) -> float:
    return float((ticks or 0) * (of.time_base or 0))


def _end(packet: av.Packet) -> float:
    """Compute the time in seconds at which a packet ends; 0 if it has no time."""
    begin = packet.dts if packet.pts is None else packet.pts
    return 0.0 if begin is None else _seconds(begin + (packet.duration or 0), packet)


def _promised(container: InputContainer, stream: VideoStream) -> float:
    """Return the duration in seconds from the header; 0 if unknown."""
    if (
        container.format.name == "avi" and stream.average_rate
    ):  # FFmpeg's duration is only an estimate
        return float(stream.frames / stream.average_rate)
    flags: Any = container.format.flags  # a number, unlike PyAV's annotation
    if container.duration is None or flags & Flags.no_timestamps.value:
        return 0.0  # FFmpeg guesses the duration of raw streams by size
    return (container.duration + min(0, container.start_time or 0)) / av.time_base


def _upright(frame: av.VideoFrame, width: int, height: int) -> Image:
    """Return the pixels of a frame at a size, upright and with transparency on white."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    kind = "rgba" if has_alpha else "rgb24"
    image = to_rgb(frame.to_ndarray(format=kind, width=width, height=height))
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    # A point (x, y) moves to (a * x + c * y, b * x + d * y).
    (a, b, _), (c, d, _), _ = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3).tolist()
    across, down = a, d
    if abs(b) > abs(a):
        image, across, down = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
