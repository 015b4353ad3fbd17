"""Effects between surface and image: haze, fog, rain, falling snow and the sensor."""

from dataclasses import dataclass

import cv2
import numpy as np

from streets.draws import Range
from streets.frame import Frame, in_color
from streets.mesh import Color
from streets.raster import SKY_DEPTH


def koschmieder(
    radiance: np.ndarray, depth: np.ndarray, density: float, airlight: Color
) -> np.ndarray:
    """Return radiance through homogeneous fog, J t + A (1 - t) with t = exp(-density * depth).

    Args:
        radiance: radiance J (H, W, 3) of the surfaces.
        depth: (H, W) metres.
        density: extinction in 1/m; the meteorological visibility (5 % contrast) is 3 / density.
        airlight: colour A of the fog.
    """
    transmission = cv2.exp((-density * depth).astype(np.float32))
    return radiance * in_color(transmission) + in_color(1 - transmission, airlight)


@dataclass(frozen=True)
class Fog:
    """Homogeneous fog.

    Attributes:
        density: range of the extinction, 1/m.
        reach: metres after which the air is clear, so that the sky is visible through thin haze.
    """

    density: Range
    reach: float = SKY_DEPTH

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        depth = np.minimum(frame.depth, self.reach)
        density = float(rng.uniform(*self.density))
        return koschmieder(frame.radiance, depth, density, frame.light.horizon)


@dataclass(frozen=True)
class SunHaze:
    """Dusty air, lit by a low sun from one side.

    Koschmieder's law with an airlight that depends on the angle to the sun by the phase function
    of Henyey and Greenstein.

    Attributes:
        density: range of the extinction, 1/m.
        forward: asymmetry of the scattering, from 0 (isotropic) to 1 (forward).
        strength: share of the sun's irradiance that is scattered in all directions.
        reach: metres after which the air is clear.
    """

    density: Range
    forward: float = 0.65
    strength: float = 0.06
    reach: float = SKY_DEPTH

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        density, g = float(rng.uniform(*self.density)), self.forward
        eye, sun = frame.camera.position, frame.to_sun
        x, y, z = (axis - origin for axis, origin in zip(frame.position, eye, strict=True))
        cosine = (x * sun[0] + y * sun[1] + z * sun[2]) / cv2.sqrt(x * x + y * y + z * z)
        phase = self.strength * (1 - g * g) / (1 + g * g - 2 * g * cosine) ** 1.5
        depth = np.minimum(frame.depth, self.reach)
        seen = koschmieder(frame.radiance, depth, density, frame.light.horizon)
        opacity = 1 - cv2.exp((-density * depth).astype(np.float32))
        return seen + in_color(phase * opacity, frame.light.sun)


@dataclass(frozen=True)
class Glow:
    """Light of lamps, scattered in the lens and the air.

    Attributes:
        strength: share of the emission that is scattered.
        spread: standard deviation of the wider halo, as a share of the image width.
    """

    strength: float
    spread: float

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        small = (max(width // 4, 1), max(height // 4, 1))
        source = cv2.resize(frame.emission, small, interpolation=cv2.INTER_AREA)
        sigma = self.spread * small[0]
        halo = 0.55 * cv2.GaussianBlur(source, (0, 0), sigma / 4)
        halo += 0.45 * cv2.GaussianBlur(source, (0, 0), sigma)
        return frame.radiance + self.strength * cv2.resize(halo, (width, height))


def _streaks(
    shape: tuple[int, int], rng: np.random.Generator, count: int, length: Range, slant: float
) -> np.ndarray:
    """Draw thin slanted lines of random strength, (H, W) float32 in 0..1."""
    height, width = shape
    mask = np.zeros((height, width), np.uint8)
    starts = rng.uniform((0, -0.2 * height), (width, height), (count, 2))
    lengths = rng.uniform(*length, count) * height
    steps = np.stack([slant * lengths, lengths], axis=1)
    lines = np.rint(np.stack([starts, starts + steps], axis=1) * 8).astype(np.int32)
    for group, strength in zip(np.array_split(lines, 4), (60, 100, 150, 220), strict=True):
        cv2.polylines(mask, list(group), False, strength, 1, cv2.LINE_AA, 3)
    return mask.astype(np.float32) / 255


@dataclass(frozen=True)
class RainStreaks:
    """Falling drops, drawn as streaks of refracted skylight.

    Attributes:
        density: range of streaks per 100 x 100 pixels of a 256-pixel-high image.
        strength: share of the skylight that a streak adds.
    """

    density: Range
    strength: float

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        shape = frame.depth.shape
        count = int(rng.uniform(*self.density) * 6.5 * shape[1] / shape[0])
        slant = float(rng.normal(0, 0.12))
        near = _streaks(shape, rng, count, (0.05, 0.16), slant)
        veil = cv2.blur(_streaks(shape, rng, 2 * count, (0.02, 0.06), slant), (3, 3))
        opacity = np.minimum(0.5 * near + 0.35 * veil, 1)
        return frame.radiance + in_color(self.strength * opacity, frame.light.horizon)


@dataclass(frozen=True)
class SnowFlakes:
    """Falling flakes: small ones far away, a few large blurred ones near the lens.

    Attributes:
        density: range of flakes per 100 x 100 pixels of a 256-pixel-high image.
    """

    density: Range

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        mask = np.zeros((height, width), np.uint8)
        unit = height / 256
        amount = rng.uniform(*self.density) * 6.5 * width / height
        for share, radius, strength in ((0.8, 0.6, 170), (0.17, 1.1, 190), (0.03, 2.4, 110)):
            places = rng.uniform((0, 0), (width, height), (int(amount * share), 2))
            radii = rng.uniform(0.6, 1.4, len(places)) * radius * unit
            for (x, y), r in zip((places * 16).astype(int).tolist(), radii.tolist(), strict=True):
                cv2.circle(mask, (x, y), max(int(r * 16), 6), strength, -1, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.6 * unit).astype(np.float32) / 255
        return frame.radiance * in_color(1 - soft) + in_color(1.25 * soft, frame.light.horizon)


@dataclass(frozen=True)
class Sensor:
    """Photon and read-out noise, and vignetting of the lens.

    Attributes:
        noise: standard deviation at display white.
        vignette: loss of light in the corners.
    """

    noise: float
    vignette: float = 0.1

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        x = np.linspace(-1, 1, width, dtype=np.float32) ** 2
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
        falling = 1 - 0.5 * self.vignette * (x + y)
        grain = rng.standard_normal((height, width), np.float32)
        floor = 0.06 / frame.light.exposure
        green = np.maximum(frame.radiance[..., 1], 0)
        grain *= self.noise * np.sqrt(green * floor + floor * floor)
        return frame.radiance * in_color(falling) + in_color(grain)
