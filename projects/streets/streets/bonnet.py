"""The ego vehicle's bonnet at the lower edge of the image."""

import numpy as np

from streets.camera import Camera
from streets.classes import LABEL_ID
from streets.mesh import Mesh, join, polygons

_DISTANCE = 1.6  # metres from the camera to the bonnet's front edge
_SHARE = 0.1  # of the image height, in the middle


def bonnet_mesh(camera: Camera) -> Mesh:
    """Build a dark rounded plate in front of the camera, as wide as the image."""
    edge = np.linspace(-1, 1, 15)
    rise = _SHARE * (1 - 0.55 * edge**2 - 0.45 * edge**8)
    parts = []
    for share, shade in ((1.0, 0.05), (0.8, 0.16), (0.55, 0.1)):
        u = edge * 0.98 * camera.width / 2
        v = camera.height * (0.5 - share * rise)
        top = np.stack([u, v], axis=1)
        foot = np.stack([u, np.full_like(v, camera.height * 0.55)], axis=1)
        pixels = np.concatenate([top, foot[::-1]]) / camera.focal
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        points = rays * _DISTANCE @ camera.rotation + camera.position
        parts.append(
            polygons(
                points[None],
                (shade, shade, shade * 1.1),
                LABEL_ID["ego vehicle"],
                normal=(0, 0.9, -0.43),
            )
        )
    return join(parts)
