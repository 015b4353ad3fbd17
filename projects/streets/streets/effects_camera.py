"""Effects from the windscreen to the file: drops on the glass, a cheap lens, its sensor, JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np

from streets.draws import Range
from streets.frame import Frame, in_color


@dataclass(frozen=True)
class GlassDrops:
    """Drops on the windscreen; each is a small lens that shows the view inverted and blurred.

    Attributes:
        count: range of the number of drops.
        radius: range of their radius, as a share of the image height.
    """

    count: Range
    radius: Range

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        number = int(rng.uniform(*self.count))
        centers = rng.uniform((0, 0), (width, height), (number, 2))
        radii = np.maximum(rng.uniform(*self.radius, number) * height, 1.0)
        blurred = cv2.blur(frame.radiance, (width // 64 + 1, width // 64 + 1))
        seen = frame.radiance.copy()
        for (x, y), r in zip(centers.tolist(), radii.tolist(), strict=True):
            rows, columns = _window(y, r, height), _window(x, 0.8 * r, width)
            v = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - y) / r
            u = (np.arange(columns.start, columns.stop, dtype=np.float32)[None] - x) / (0.8 * r)
            far = 0.3 * height
            source_x = np.broadcast_to(x - far * u, (v.shape[0], u.shape[1])).astype(np.float32)
            source_y = np.broadcast_to(y - far * v, source_x.shape).astype(np.float32)
            inside = cv2.remap(
                blurred, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            distance = np.sqrt(u * u + v * v)
            inside *= in_color(1.08 - 0.45 * np.clip(distance, 0, 1) ** 4)  # a dark rim
            cover = in_color(np.clip((1 - distance) * 2.5, 0, 1))
            patch = seen[rows, columns]
            patch += cover * (inside - patch)
        return seen


def _window(middle: float, half: float, limit: int) -> slice:
    """Return the pixels of an axis within `half` of `middle`, at least one."""
    start = int(np.clip(middle - half, 0, limit - 1))
    return slice(start, int(np.clip(middle + half + 1, start + 1, limit)))


@dataclass(frozen=True)
class CheapLens:
    """A lens with lateral colour, soft focus, fall-off and stray light.

    Attributes:
        chromatic: range of the magnification of red relative to green; blue is reduced.
        blur: range of the point spread's standard deviation, as a share of the image width.
        falloff: power of the cosine of the angle to the axis; 4 is the natural law.
        stray: share of the light that is spread over the whole image.
    """

    chromatic: Range
    blur: Range
    falloff: float
    stray: float

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        shift = float(rng.uniform(*self.chromatic))
        channels = [
            _scaled(channel, 1 + factor * shift)
            for channel, factor in zip(cv2.split(frame.radiance), (1, 0, -1), strict=True)
        ]
        sigma = max(float(rng.uniform(*self.blur)) * width, 0.2)
        seen = cv2.GaussianBlur(cv2.merge(channels), (0, 0), sigma)
        x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / frame.camera.focal
        y = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2) / frame.camera.focal
        cosine = 1 / np.sqrt(1 + x * x + y * y)
        veil = np.asarray(frame.radiance.mean(axis=(0, 1), dtype=np.float32))
        return seen * in_color((1 - self.stray) * cosine**self.falloff) + self.stray * veil


def _scaled(channel: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge an image by a factor around its centre."""
    height, width = channel.shape
    keep = 1 - factor
    matrix = np.array(
        [[factor, 0, keep * (width - 1) / 2], [0, factor, keep * (height - 1) / 2]], np.float64
    )
    return cv2.warpAffine(
        channel, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


@dataclass(frozen=True)
class WrongSettings:
    """Wrong exposure and white balance.

    Attributes:
        stops: range of the exposure error, in stops.
        warmth: range of the colour cast from blue to red, in stops.
        tint: range of the colour cast from magenta to green, in stops.
    """

    stops: Range
    warmth: Range
    tint: Range

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        stops, warmth, tint = (rng.uniform(*r) for r in (self.stops, self.warmth, self.tint))
        gains = 2.0 ** np.array([stops + warmth, stops + tint, stops - warmth])
        return frame.radiance * gains.astype(np.float32)


@dataclass(frozen=True)
class SmallSensor:
    """Noise of small pixels, independent per colour and blurred by demosaicing.

    Attributes:
        shot: range of the standard deviation at display white, proportional to the light's root.
        read: standard deviation of the read-out noise, as a share of display white.
    """

    shot: Range
    read: float

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        white = np.float32(1 / frame.light.exposure)
        shot = float(rng.uniform(*self.shot))
        grain = rng.standard_normal(frame.radiance.shape, np.float32)
        smeared = 1.4 * cv2.GaussianBlur(grain, (0, 0), 0.8) + 0.35 * grain
        light = np.maximum(frame.radiance, 0) / white
        spread = cv2.sqrt(shot * shot * light + self.read * self.read)
        return frame.radiance + white * spread * smeared


@dataclass(frozen=True)
class Sharpening:
    """Strong unsharp masking, as in phones, with bright and dark seams along edges.

    Attributes:
        amount: share of the difference to the blurred image that is added.
        radius: standard deviation of the blur, pixels.
    """

    amount: float
    radius: float = 1.2

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        soft = cv2.GaussianBlur(image, (0, 0), self.radius)
        return cv2.addWeighted(image, 1 + self.amount, soft, -self.amount, 0)


@dataclass(frozen=True)
class Jpeg:
    """JPEG compression with visible blocks.

    Attributes:
        quality: range of the encoder's quality, 0..100.
    """

    quality: Range

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        setting = [cv2.IMWRITE_JPEG_QUALITY, round(float(rng.uniform(*self.quality)))]
        _, stream = cv2.imencode(".jpg", image[..., ::-1], setting)
        return np.ascontiguousarray(np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR))[..., ::-1])
