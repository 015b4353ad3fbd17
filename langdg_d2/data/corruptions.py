"""Image corruptions in the style of ImageNet-C and Cityscapes-C, as augmentations for testing.

The formulas and the five severities are those of ImageNet-C (Hendrycks and Dietterich,
"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019).
Michaelis et al. ("Benchmarking Robustness in Object Detection", 2019) applied them to Cityscapes,
and Kamann and Rother (CVPR 2020) to semantic segmentation. Fog, frost, snow, spatter, glass, motion
and zoom blur, and elastic warping are not included.

NOTE: the results do not equal released images. Noise is drawn from the same distributions with
other seeds; everything else differs from the released code by at most one level.
"""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import transforms as T
from PIL import Image as PILImage

from ..utils.errors import LangDGError
from .transforms import Image, PixelTransform

# RGB in 0..1, may exceed that range.
Intensities = npt.NDArray[np.float32]

_HIGHEST = np.float32(255)
# Added before rounding down, so that inexact fractions do not fall below a level.
_BELOW_A_LEVEL = np.float32(1e-3)


def _intensities(image: Image) -> Intensities:
    return image.astype(np.float32) / _HIGHEST


def _levels(intensities: Intensities) -> Image:
    """Convert to 8-bit levels, rounded down as in the released code."""
    clipped = np.clip(intensities, 0, 1)
    return (clipped * _HIGHEST + _BELOW_A_LEVEL).astype(np.uint8)


def gaussian_noise(image: Intensities, rng: np.random.Generator, deviation: float) -> Intensities:
    """Add Gaussian noise with a standard deviation."""
    return image + deviation * rng.standard_normal(image.shape, dtype=np.float32)


def shot_noise(image: Intensities, rng: np.random.Generator, photons: float) -> Intensities:
    """Draw Poisson-distributed photon counts; white pixels receive `photons` on average."""
    return (rng.poisson(image * photons) / photons).astype(np.float32)


def impulse_noise(image: Intensities, rng: np.random.Generator, share: float) -> Intensities:
    """Replace a share of all values, per channel, by black or white."""
    draw = rng.random(image.shape, dtype=np.float32)
    return np.select(
        [draw < share / 2, draw > 1 - share / 2], [np.float32(0), np.float32(1)], image
    )


def speckle_noise(image: Intensities, rng: np.random.Generator, deviation: float) -> Intensities:
    """Add Gaussian noise in proportion to the intensity."""
    return image * (1 + deviation * rng.standard_normal(image.shape, dtype=np.float32))


def gaussian_blur(image: Intensities, rng: np.random.Generator, deviation: float) -> Intensities:
    """Blur with a Gaussian, truncated at four standard deviations (in pixels)."""
    size = 2 * round(4 * deviation) + 1
    blurred = cv2.GaussianBlur(image, (size, size), deviation, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def defocus_blur(
    image: Intensities, rng: np.random.Generator, radius: float, softness: float
) -> Intensities:
    """Blur with a disk whose edge is softened by a Gaussian."""
    return np.asarray(cv2.filter2D(image, -1, disk(radius, softness)), np.float32)


def disk(radius: float, softness: float) -> Intensities:
    """Compute the kernel of `defocus_blur`.

    Args:
        radius: radius in pixels; up to 8, the kernel is 17 x 17, and above, softening is 5 pixels
            wide.
        softness: standard deviation of the Gaussian at the edge, in pixels.
    """
    small = 8
    reach, window = (small, 3) if radius <= small else (int(radius), 5)
    down, right = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    inside = (down**2 + right**2 <= radius**2).astype(np.float32)
    softened = cv2.GaussianBlur(inside / inside.sum(), (window, window), softness)
    return np.asarray(softened, dtype=np.float32)


def brightness(image: Intensities, rng: np.random.Generator, rise: float) -> Intensities:
    """Increase the value in HSV."""
    return _change_hsv(image, channel=2, factor=1, rise=rise)


def contrast(image: Intensities, rng: np.random.Generator, factor: float) -> Intensities:
    """Scale the difference from the mean of every channel."""
    mean = image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return (image - mean) * np.float32(factor) + mean


def saturate(
    image: Intensities, rng: np.random.Generator, factor: float, rise: float
) -> Intensities:
    """Scale and increase the saturation in HSV; grey has the hue of red."""
    return _change_hsv(image, channel=1, factor=factor, rise=rise)


def _change_hsv(image: Intensities, *, channel: int, factor: float, rise: float) -> Intensities:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., channel] = np.clip(hsv[..., channel] * factor + rise, 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)


def jpeg_compression(image: Intensities, rng: np.random.Generator, quality: int) -> Intensities:
    """Encode and decode as JPEG with a quality."""
    file = BytesIO()
    PILImage.fromarray(_levels(image)).save(file, "JPEG", quality=quality)
    return _intensities(np.array(PILImage.open(file)))


def pixelate(image: Intensities, rng: np.random.Generator, factor: float) -> Intensities:
    """Downsample by a factor, and upsample to square blocks."""
    picture = PILImage.fromarray(_levels(image))
    small = (max(1, int(picture.width * factor)), max(1, int(picture.height * factor)))
    shrunk = picture.resize(small, PILImage.Resampling.BOX)
    return _intensities(np.array(shrunk.resize(picture.size, PILImage.Resampling.NEAREST)))


class CorruptionKind(NamedTuple):
    """Function of a corruption, and its parameters for severity 1 to 5."""

    function: Callable[..., Intensities]
    parameters: tuple[tuple[float, ...], ...]


CORRUPTIONS = {
    function.__name__: CorruptionKind(function, parameters)
    for function, parameters in (
        (gaussian_noise, ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,))),
        (shot_noise, ((60,), (25,), (12,), (5,), (3,))),
        (impulse_noise, ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,))),
        (speckle_noise, ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,))),
        (gaussian_blur, ((1,), (2,), (3,), (4,), (6,))),
        (defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
        (brightness, ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))),
        (contrast, ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,))),
        (saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
        (jpeg_compression, ((25,), (18,), (15,), (10,), (7,))),
        (pixelate, ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,))),
    )
}


class Corruption(T.Augmentation):
    """Corruption at one severity, for the augmentations of a `TestMapper`.

    An image is corrupted identically in every run and process, because its pixels seed the
    generator. Labels do not change.

    Args:
        name: a key of `CORRUPTIONS`.
        severity: 1 to 5; higher is worse, except that `saturate` reduces saturation at 1 and 2.
    """

    def __init__(self, *, name: str, severity: int) -> None:
        super().__init__()
        if name not in CORRUPTIONS:
            raise LangDGError(
                f"corruption '{name}' is unknown; choose one of {sorted(CORRUPTIONS)}"
            )
        kind = CORRUPTIONS[name]
        if severity not in range(1, len(kind.parameters) + 1):
            raise LangDGError(
                f"severity {severity!r} of corruption '{name}', expected 1 to "
                f"{len(kind.parameters)}"
            )
        self.name = name
        self.severity = severity

    def get_transform(self, image: Image) -> PixelTransform:
        """Return the corruption of this image; no random state changes."""
        function, parameters = CORRUPTIONS[self.name]
        seed = [crc32(image.tobytes()), crc32(self.name.encode()), self.severity]

        def corrupt(img: Image) -> Image:
            rng = np.random.default_rng(seed)
            return _levels(function(_intensities(img), rng, *parameters[self.severity - 1]))

        return PixelTransform(corrupt)
