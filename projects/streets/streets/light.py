"""Sun, sky and lamps: illumination of surfaces, and radiance of the sky."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streets.camera import Camera
from streets.draws import Range
from streets.mesh import Color, Emitter, Mesh
from streets.textures import cloud_noise

DISPLAY_GAMMA = 2.2
# Linear colours of lamps whose light differs from the colour of their face.
LAMP_COLORS: dict[Emitter, Color] = {
    Emitter.HEADLIGHT: (1.0, 0.95, 0.86),
    Emitter.STREET_LAMP: (1.0, 0.76, 0.46),
    Emitter.WINDOW: (1.0, 0.70, 0.36),
}
_CLOUD_SCALE = 95.0  # samples of the cloud noise per unit of horizontal over vertical direction


@dataclass(frozen=True, kw_only=True)
class Light:
    """Illumination of a look; all colours are linear radiance.

    Attributes:
        sun: irradiance of the sun on a surface that faces it, black for none.
        elevation: range of the sun's elevation, degrees.
        ambient: irradiance from the sky on upward faces.
        bounce: share of the ambient light that the ground reflects.
        zenith, horizon: sky colours.
        glow: radiance that a low sun adds to the sky near the horizon below it.
        clouds: range of cloud cover, 0..1.
        cloud: colour of clouds.
        exposure: factor before display.
        emission: radiance of lamps of each kind; for their colours see `LAMP_COLORS`.
    """

    sun: Color
    elevation: Range
    ambient: Color
    bounce: float
    zenith: Color
    horizon: Color
    clouds: Range
    cloud: Color
    exposure: float
    glow: Color = (0.0, 0.0, 0.0)
    emission: Mapping[Emitter, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sky:
    """The random part of the light.

    Attributes:
        to_sun: (3,) unit vector toward the sun.
        cover: share of the sky under clouds.
        drift: (2,) offset of the clouds in noise samples.
    """

    to_sun: np.ndarray
    cover: float
    drift: np.ndarray


def draw_sky(light: Light, rng: np.random.Generator) -> Sky:
    """Draw the sun's position and the clouds."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*light.elevation))
    to_sun = np.array(
        [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
    )
    return Sky(
        to_sun=to_sun.astype(np.float32),
        cover=float(rng.uniform(*light.clouds)),
        drift=rng.uniform(0, 512, 2),
    )


def face_irradiance(mesh: Mesh, light: Light, sky: Sky, sunlit: np.ndarray) -> np.ndarray:
    """Return the irradiance of every face, (F, 3) float32.

    Args:
        mesh: faces, where two-sided ones are lit according to their stored normal.
        light: colours.
        sky: position of the sun.
        sunlit: (F,) share of the sun that reaches the face.
    """
    normal = mesh.faces["normal"]
    up = normal[:, 1:2]
    from_sky = (0.5 + 0.5 * up) + light.bounce * (0.5 - 0.5 * up)
    facing_sun = np.maximum(normal @ sky.to_sun, 0) * sunlit
    ambient = from_sky * np.asarray(light.ambient, np.float32)
    return (ambient + facing_sun[:, None] * np.asarray(light.sun, np.float32)).astype(np.float32)


def face_emission(mesh: Mesh, light: Light) -> np.ndarray:
    """Return the emitted radiance of every face, (F, 3) float32."""
    emitter = mesh.faces["emitter"]
    strength = np.array([light.emission.get(kind, 0.0) for kind in Emitter], np.float32)
    color = mesh.faces["albedo"] ** DISPLAY_GAMMA
    for kind, tint in LAMP_COLORS.items():
        color[emitter == kind] = tint
    return color * strength[emitter][:, None]


def sky_radiance(
    light: Light, sky: Sky, camera: Camera, slopes: tuple[np.ndarray, np.ndarray], where: np.ndarray
) -> np.ndarray:
    """Return the colour of the sky at the given pixels.

    Args:
        light: colours.
        sky: sun and clouds.
        camera: camera of the view.
        slopes: ray slopes of columns and rows.
        where: (N,) flat pixel indices.

    Returns:
        (N, 3) float32 radiance.
    """
    columns, rows = slopes
    x, y = columns[where % camera.width], rows[where // camera.width]
    ray = np.stack([x, y, np.ones_like(x)], axis=1) @ camera.rotation
    ray /= np.sqrt((ray * ray).sum(1, keepdims=True))
    height = np.clip(ray[:, 1], 0.0, 1.0)
    share = np.sqrt(height)[:, None]
    zenith, horizon = (np.asarray(c, np.float32) for c in (light.zenith, light.horizon))
    color = horizon + (zenith - horizon) * share
    toward_sun = np.maximum(ray @ sky.to_sun, 0)
    halo = 0.25 * toward_sun**8 + 1.2 * toward_sun**200
    color += halo[:, None] * np.asarray(light.sun, np.float32) * (1 - 0.7 * sky.cover)
    if any(light.glow):
        sunward = (ray[:, [0, 2]] @ sky.to_sun[[0, 2]]) / np.linalg.norm(sky.to_sun[[0, 2]])
        band = np.exp(-6 * height) * (0.55 + 0.45 * sunward) ** 2
        color += band[:, None].astype(np.float32) * np.asarray(light.glow, np.float32)
    return color + _clouds(light, sky, ray, height)[:, None] * (
        np.asarray(light.cloud, np.float32) - color
    )


def _clouds(light: Light, sky: Sky, ray: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return the opacity of clouds along rays; they form a flat layer."""
    noise = cloud_noise()
    stretch = _CLOUD_SCALE / (height + 0.12)
    u = (ray[:, 0] * stretch + sky.drift[0]).astype(np.int32) % len(noise)
    v = (ray[:, 2] * stretch + sky.drift[1]).astype(np.int32) % len(noise)
    density = noise[v, u] - (1.3 - 2.6 * sky.cover)
    return np.clip(density * 0.8, 0, 0.95) * np.clip(height * 9, 0.4, 1)
