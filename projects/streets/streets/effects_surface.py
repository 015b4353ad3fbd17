"""Effects on surfaces: snow cover, wet ground, and light of street lamps and headlights."""

from dataclasses import dataclass

import cv2
import numpy as np

from streets.classes import LABEL_ID
from streets.draws import Range
from streets.frame import Frame, in_color
from streets.mesh import Color
from streets.textures import cloud_noise

_ROAD = LABEL_ID["road"]
_VEHICLES = tuple(LABEL_ID[n] for n in ("car", "truck", "bus", "train", "motorcycle", "bicycle"))
_UNCOVERED = tuple(LABEL_ID[n] for n in ("sky", "person", "rider", "ego vehicle"))


def _ground_noise(frame: Frame, samples_per_metre: float, shift: np.ndarray) -> np.ndarray:
    """Return smooth noise (H, W) that is fixed to the ground."""
    noise = cloud_noise()
    u = (frame.position[0] * samples_per_metre + shift[0]).astype(np.int32) % len(noise)
    v = (frame.position[2] * samples_per_metre + shift[1]).astype(np.int32) % len(noise)
    return noise[v, u]


@dataclass(frozen=True)
class SnowCover:
    """Snow on upward faces; traffic keeps the road partly clear.

    Attributes:
        amount: range of coverage, 0..1.
        road: coverage of the road relative to other surfaces.
        albedo: reflectance of snow.
    """

    amount: Range
    road: Range
    albedo: Color = (0.80, 0.83, 0.88)

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        amount, road = rng.uniform(*self.amount), rng.uniform(*self.road)
        patches = _ground_noise(frame, 22.0, rng.uniform(0, 512, 2))
        leaves = frame.label_ids == LABEL_ID["vegetation"]  # also on the sides of twigs
        facing_up = np.clip(frame.up * 2.2 + np.where(leaves, 0.25, -0.3), 0, 1)
        on_vehicle = np.isin(frame.label_ids, _VEHICLES)  # roofs, not windscreens
        facing_up = np.where(on_vehicle, np.clip(frame.up * 8 - 6.8, 0, 0.9), facing_up)
        depth = amount * facing_up
        on_road = np.clip(road + 0.32 * patches, 0, 1)
        cover = np.where(frame.label_ids == _ROAD, depth * on_road, depth)
        cover[np.isin(frame.label_ids, _UNCOVERED)] = 0
        snow = frame.irradiance * in_color(1 + 0.05 * patches, self.albedo)
        return frame.radiance + in_color(cover) * (snow - frame.radiance)


@dataclass(frozen=True)
class StreetLamps:
    """Pools of light under the street lamps.

    Attributes:
        strength: irradiance at 1 m from a lamp.
        color: colour of the lamps.
        nearest: number of nearest lamps to use.
    """

    strength: float
    color: Color = (1.0, 0.72, 0.40)
    nearest: int = 7

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        x, y, z = (cv2.resize(p, (width // 2, height // 2)) for p in frame.position)
        total = np.zeros_like(x)
        distance = np.linalg.norm(frame.lamps - frame.camera.position, axis=1)
        for lamp in frame.lamps[np.argsort(distance)[: self.nearest]]:
            dx, dy, dz = x - lamp[0], np.maximum(lamp[1] - y, 0.2), z - lamp[2]
            squared = dx * dx + dy * dy + dz * dz
            total += dy / (squared * cv2.sqrt(squared) + 4)
        gain = self.strength * cv2.resize(total, (width, height))
        return frame.radiance + _reflect(frame, gain, self.color)


def _reflect(frame: Frame, irradiance: np.ndarray, color: Color) -> np.ndarray:
    """Return the radiance added by extra light on surfaces; the sky reflects nothing."""
    ambient = np.maximum(frame.irradiance, 1e-4)
    albedo = np.minimum(frame.radiance / ambient, 1.0)
    lit = np.where(frame.label_ids == LABEL_ID["sky"], 0, irradiance)
    return albedo * in_color(lit, color)


@dataclass(frozen=True)
class Headlights:
    """The ego vehicle's low beam: bright near road, cut off at the horizon.

    Attributes:
        strength: irradiance at 1 m in the middle of the beam.
        color: colour of the lamps.
    """

    strength: float
    color: Color = (1.0, 0.95, 0.84)

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        ahead = frame.depth
        eye = frame.camera.position
        rise = (frame.position[1] - eye[1] + 0.6) / ahead
        forward = frame.camera.rotation[2]
        side = (
            (frame.position[0] - eye[0]) * forward[2] - (frame.position[2] - eye[2]) * forward[0]
        ) / ahead
        across = cv2.exp((-((side / 0.38) ** 2)).astype(np.float32))
        above = np.clip(1 - rise / 0.045, 0.04, 1)
        gain = self.strength * across * above / (ahead * ahead + 16)
        return frame.radiance + _reflect(frame, gain.astype(np.float32), self.color)


@dataclass(frozen=True)
class WetGround:
    """Wet ground, which is darker and reflects objects behind it.

    Reflections of upright objects start where they meet the ground, so every ground pixel reflects
    the pixel of its column that is equally far above that line.

    Attributes:
        darkening: share of the light that the wet surface absorbs.
        mirror: range of the strength of the reflection.
    """

    darkening: float
    mirror: Range

    def __call__(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        height, width = frame.depth.shape
        ground = frame.ground
        rows = np.arange(height, dtype=np.int32)[:, None]
        contact = np.maximum.accumulate(np.where(ground, -1, rows), axis=0)
        source = np.clip(2 * contact - rows, 0, height - 1).astype(np.float32)
        columns = np.arange(width, dtype=np.float32)[None]
        bright = frame.radiance + frame.emission
        spread = max(height // 18, 3)
        blurred = cv2.blur(bright, (3, spread))
        ripple = _ground_noise(frame, 260.0, rng.uniform(0, 512, 2)).astype(np.float32)
        mirrored = cv2.remap(
            blurred,
            columns + 0.8 * ripple,
            source,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        puddles = np.clip(
            0.65 + 0.5 * _ground_noise(frame, 16.0, rng.uniform(0, 512, 2)), 0.15, 1.2
        )
        sine = np.clip(
            (frame.camera.position[1] - frame.position[1]) / np.maximum(frame.depth, 0.1), 0, 1
        )
        fresnel = 0.06 + 0.94 * (1 - sine) ** 5
        smooth = np.where(frame.label_ids == _ROAD, 1.0, 0.45)
        smooth[frame.label_ids == LABEL_ID["terrain"]] = 0.0
        share = rng.uniform(*self.mirror) * fresnel * puddles * smooth * ground
        share = np.minimum(share, 0.85)
        kept = np.where(ground, 1 - self.darkening, 1.0) * (1 - share)
        return frame.radiance * in_color(kept) + mirrored * in_color(share)
