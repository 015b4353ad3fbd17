"""Rendering of a scene in a look to an image, label ids and depth."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streets.bonnet import bonnet_mesh
from streets.camera import Camera
from streets.classes import GROUND_IDS, LABEL_ID
from streets.frame import Frame, in_color
from streets.light import (
    DISPLAY_GAMMA,
    Light,
    Sky,
    draw_sky,
    face_emission,
    face_irradiance,
    sky_radiance,
)
from streets.looks import Look
from streets.mesh import Mesh, join
from streets.raster import Raster, rasterize
from streets.scenes import Scene
from streets.shadows import cast_shadows, contact_shadows, items_in_sun
from streets.textures import TILE, texture_tables

SUPERSAMPLING = 2
_BORDER = 200  # image width relative to the width of the border of the region of interest
_CONTACT = 0.6  # share of the light that a full contact shadow blocks


@dataclass(frozen=True)
class Rendering:
    """A rendered view.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label_ids: (H, W) uint8 Cityscapes label ids.
        depth: (H, W) float32 metres; `raster.SKY_DEPTH` for sky.
    """

    image: np.ndarray
    label_ids: np.ndarray
    depth: np.ndarray


def render(scene: Scene, look: Look, size: tuple[int, int], rng: np.random.Generator) -> Rendering:
    """Render a scene.

    Args:
        scene: geometry and surface colours.
        look: light and weather.
        size: (height, width) of the image.
        rng: draws light and weather; it does not affect the labels.
    """
    frame = shade(scene, look.light, size, rng)
    for effect in look.surface:
        frame = replace(frame, radiance=effect(frame, rng))
    frame = replace(frame, radiance=frame.radiance + frame.emission)
    for effect in look.atmosphere:
        frame = replace(frame, radiance=effect(frame, rng))
    image = develop(frame.radiance, look.light.exposure)
    for processing in look.display:
        image = processing(image, rng)
    return Rendering(image, frame.label_ids, frame.depth)


def develop(radiance: np.ndarray, exposure: float) -> np.ndarray:
    """Convert linear radiance to uint8 display values with exposure, a soft shoulder and gamma."""
    exposed = np.maximum(radiance * np.float32(exposure), 0)
    squeezed = exposed * (1 + 0.12 * exposed)
    squeezed /= 1 + 0.42 * exposed
    shown = np.asarray(cv2.pow(squeezed, 1 / DISPLAY_GAMMA))
    return cv2.convertScaleAbs(shown, alpha=255)


def shade(scene: Scene, light: Light, size: tuple[int, int], rng: np.random.Generator) -> Frame:
    """Render a scene under a light, without emission and weather."""
    camera = Camera.from_pose(scene.pose, size)
    mesh = scene.mesh
    if scene.bonnet:
        mesh = join([mesh, bonnet_mesh(camera)])
    raster = rasterize(mesh, camera, SUPERSAMPLING)
    sky = draw_sky(light, rng)
    irradiance = face_irradiance(mesh, light, sky, _sunlit_faces(scene, mesh, light, sky))

    label_of_face = np.append(LABEL_ID["sky"], mesh.faces["label"]).astype(np.uint8)
    label_ids = np.take(label_of_face, raster.ids)
    up = np.take(np.append(0, mesh.faces["normal"][:, 1]).astype(np.float32), raster.ids)
    ground = np.isin(label_ids, GROUND_IDS) & (raster.ids <= len(scene.ground.faces))
    position = raster.positions(camera)
    radiance, emission = _surfaces(mesh, irradiance, light, raster)
    radiance *= in_color(1 + _texture(mesh, raster, position))
    _darken_ground(radiance, ground, scene, light, sky, camera)
    _fill_sky(radiance, raster, light, sky, camera)
    if scene.border:
        _mark_border(label_ids)
    lit = np.concatenate([[light.horizon], irradiance]).astype(np.float32)
    return Frame(
        radiance=radiance,
        emission=emission,
        irradiance=np.take(lit, raster.ids, axis=0),
        depth=raster.depth,
        label_ids=label_ids,
        up=up,
        position=position,
        ground=ground,
        lamps=scene.lamps,
        to_sun=sky.to_sun,
        camera=camera,
        light=light,
    )


def _mark_border(label_ids: np.ndarray) -> None:
    """Label the pixels along the edge "out of roi" in place, as in rectified images."""
    margin = max(label_ids.shape[1] // _BORDER, 1)
    inner = label_ids[margin:-margin, margin:-margin].copy()
    label_ids[:] = LABEL_ID["out of roi"]
    label_ids[margin:-margin, margin:-margin] = inner


def _sunlit_faces(scene: Scene, mesh: Mesh, light: Light, sky: Sky) -> np.ndarray:
    """Return the share of the sun on every face, (F,)."""
    share = np.ones(len(mesh.faces), np.float32)
    if any(light.sun):
        counts = [len(item.mesh.faces) for item in scene.items]
        per_item = np.repeat(
            items_in_sun(scene.items, scene.items + scene.unseen, sky.to_sun), counts
        )
        start = len(scene.ground.faces)
        share[start : start + len(per_item)] = per_item
    return share


def _surfaces(
    mesh: Mesh, irradiance: np.ndarray, light: Light, raster: Raster
) -> tuple[np.ndarray, np.ndarray]:
    """Return lit colours and emission, averaged over the samples of each pixel; sky is black."""
    albedo = mesh.faces["albedo"] ** DISPLAY_GAMMA
    radiance = _resolve(albedo * irradiance, raster)
    return radiance, _resolve(face_emission(mesh, light), raster)


def _resolve(colors: np.ndarray, raster: Raster) -> np.ndarray:
    """Convert linear face colours (F, 3) to an image (H, W, 3).

    Colours are looked up as 8-bit values with gamma for speed.
    """
    peak = max(float(colors.max()), 1e-6)
    table = np.zeros((len(colors) + 1, 4), np.uint8)
    table[1:, :3] = np.rint(255 * np.clip(colors / peak, 0, 1) ** (1 / DISPLAY_GAMMA))
    packed = np.take(table.view(np.uint32)[:, 0], raster.fine)
    fine = packed.view(np.uint8).reshape(*raster.fine.shape, 4)
    height, width = raster.ids.shape
    small = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    decode = (peak * (np.arange(256) / 255) ** DISPLAY_GAMMA).astype(np.float32)
    return cv2.LUT(small[..., :3], decode)


def _texture(mesh: Mesh, raster: Raster, position: np.ndarray) -> np.ndarray:
    """Return the relative brightness change of the surface pattern, (H, W) float32."""
    patterns, density, fade = texture_tables()
    material = np.append(0, mesh.faces["material"]).astype(np.int32)
    facing = mesh.faces["facing"]
    flat = np.append(False, np.abs(facing[:, 1]) > 0.7)
    # Patterns of upright faces run along the horizontal direction perpendicular to their normal.
    level = np.hypot(facing[:, 0], facing[:, 2]) + 1e-6
    sideways, forward = np.append(0, facing[:, 2] / level), np.append(0, -facing[:, 0] / level)
    scale = density[material]
    table = np.zeros((len(material), 5), np.float32)
    table[:, 0] = np.where(flat, 1, sideways) * scale
    table[:, 1] = np.where(flat, 0, forward) * scale
    table[:, 2] = np.where(flat, 0, 1) * scale
    table[:, 3] = np.where(flat, 1, 0) * scale
    table[:, 4] = 1 / fade[material]
    x, y, z = position
    ids = raster.ids
    ux, uz, vy, vz, rate = (np.take(table[:, k], ids) for k in range(5))
    u = (x * ux + z * uz).astype(np.int32) & (TILE - 1)
    v = (y * vy + z * vz).astype(np.int32) & (TILE - 1)
    cell = np.take(material * (TILE * TILE), ids) + v * TILE + u
    return np.take(patterns, cell) * cv2.exp(-raster.depth * rate)


def _darken_ground(
    radiance: np.ndarray,
    ground: np.ndarray,
    scene: Scene,
    light: Light,
    sky: Sky,
    camera: Camera,
) -> None:
    """Apply cast and contact shadows to the ground, in place."""
    contact = contact_shadows(scene.items, camera) * ground
    kept = in_color(1 - _CONTACT * contact)
    if any(light.sun):
        blocked = cast_shadows(scene.items + scene.unseen, sky.to_sun, camera) * ground
        direct = np.asarray(light.sun) * sky.to_sun[1]
        r, g, b = (direct / (direct + np.asarray(light.ambient))).tolist()
        kept *= 1 - in_color(blocked, (r, g, b))
    radiance *= kept


def _fill_sky(radiance: np.ndarray, raster: Raster, light: Light, sky: Sky, camera: Camera) -> None:
    """Add the sky to its share of each pixel, in place."""
    fine = (raster.fine == 0).astype(np.uint8) * np.uint8(255)
    height, width = raster.ids.shape
    share = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).ravel()
    where = np.flatnonzero(share)
    if not len(where):
        return
    open_share = (share[where].astype(np.float32) / 255)[:, None]
    flat = radiance.reshape(-1, 3)
    color = sky_radiance(light, sky, camera, raster.slopes, where)
    # Black samples were averaged with gamma: undo their weight, then mix linearly.
    covered = np.maximum(1 - open_share, 1e-3)
    flat[where] = flat[where] * covered ** (1 - DISPLAY_GAMMA) + open_share * color
