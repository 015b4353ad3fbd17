"""Scenes: the objects in front of the camera, drawn from a city and a layout."""

from dataclasses import dataclass

import numpy as np

from streets.camera import Pose, View
from streets.cities import City
from streets.draws import chance, pick_weighted
from streets.ground import build_ground
from streets.items import Item
from streets.layouts import LAYOUTS, Layout
from streets.lots import build_lots
from streets.mesh import Mesh, join
from streets.occlusion import painting_order
from streets.sidewalks import clutter, greenery, lamps, pedestrians, signals, signs
from streets.traffic import crossing_traffic, lane_traffic, parked_vehicles, trams


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Geometry and surface colours, without light, weather or image size.

    Attributes:
        layout: layout of the street.
        pose: pose of the camera.
        ground: ground faces, which come first in `mesh`.
        items: upright objects in painting order.
        unseen: buildings outside the view, which cast shadows into it.
        mesh: all faces in painting order.
        lamps: (N, 3) positions of street lamps.
        bonnet: whether the ego vehicle is in view.
        border: whether the pixels along the edge are outside the region of interest.
    """

    layout: Layout
    pose: Pose
    ground: Mesh
    items: tuple[Item, ...]
    unseen: tuple[Item, ...]
    mesh: Mesh
    lamps: np.ndarray
    bonnet: bool
    border: bool


def build_scene(city: City, rng: np.random.Generator, *, kind: str | None = None) -> Scene:
    """Build a random scene.

    Args:
        city: proportions, colours and densities.
        rng: random generator of all draws.
        kind: layout; drawn with the city's weights if not given.
    """
    drawn = pick_weighted(rng, city.layouts)
    layout = LAYOUTS[kind or drawn](city, rng)
    pose = _pose(layout, city, rng)
    view = View.from_pose(pose)
    around = build_lots(layout, city, rng, view)
    lamp_items, lights = lamps(layout, rng)
    items = [
        *around.items,
        *lamp_items,
        *greenery(layout, city, rng, view),
        *signals(layout, rng),
        *signs(layout, rng),
        *trams(layout, rng),
        *lane_traffic(layout, city, rng, view),
        *crossing_traffic(layout, city, rng, view),
        *parked_vehicles(layout, city, rng),
        *pedestrians(layout, city, rng, view),
        *clutter(layout, city, rng, view),
    ]
    footprints = np.stack([item.footprint for item in items])
    seen = np.flatnonzero(view.sees(footprints))
    order = seen[painting_order(footprints[seen], view.eye[[0, 2]])]
    items = [items[k] for k in order]
    ground = join([build_ground(layout, city, rng), *around.floors])
    return Scene(
        layout=layout,
        pose=pose,
        ground=ground,
        items=tuple(items),
        unseen=tuple(around.unseen),
        mesh=join([ground, *(item.mesh for item in items)]),
        lamps=lights,
        bonnet=chance(rng, city.bonnet),
        border=chance(rng, city.border),
    )


def _pose(layout: Layout, city: City, rng: np.random.Generator) -> Pose:
    lane = int(rng.integers(layout.right.lanes))
    t = layout.lane_center(layout.right, lane) + rng.normal(0, 0.2)
    turn = layout.path.heading_at(18.0)
    return Pose(
        position=(float(t), float(rng.uniform(*city.camera_height)), 0.0),
        yaw=float(0.4 * turn + rng.normal(0, 0.025)),
        pitch=float(np.radians(rng.uniform(*city.camera_pitch))),
        roll=float(rng.normal(0, 0.006)),
        field_of_view=float(np.radians(rng.uniform(*city.field_of_view))),
    )
