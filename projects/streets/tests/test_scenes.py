"""Statistics and geometry of the made-up scenes."""

from dataclasses import replace

import numpy as np
import pytest
from streets.camera import Camera, Pose, View
from streets.cities import GAME_CITY, INDUSTRIAL_TOWN, OLD_TOWN, SUN_METROPOLIS, City
from streets.classes import LABEL_ID
from streets.layouts import LAYOUTS
from streets.mesh import Emitter
from streets.plants import tree
from streets.raster import rasterize
from streets.scenes import Scene, build_scene

from langdg_d2.structures.label_space import CITYSCAPES_19

# Per cent of the pixels over many scenes: about what driving data sets report, generously.
_SANE = {
    "road": (25, 50), "sidewalk": (2, 10), "building": (10, 32), "wall": (0.15, 3),
    "fence": (0.1, 3), "pole": (0.7, 4), "traffic light": (0.02, 1), "traffic sign": (0.1, 2),
    "vegetation": (7, 25), "terrain": (0.4, 6), "sky": (1.5, 20), "person": (0.4, 5),
    "rider": (0.03, 1), "car": (2, 18), "truck": (0.1, 4), "bus": (0.1, 4), "train": (0.05, 3),
    "motorcycle": (0.05, 2), "bicycle": (0.1, 2),
}  # fmt: skip


def _check_proportions(counts: np.ndarray) -> None:
    share = 100 * counts.sum(0) / counts.sum()
    outside = {
        name: round(float(share[k]), 3)
        for k, name in enumerate(CITYSCAPES_19.names)
        if not _SANE[name][0] <= share[k] <= _SANE[name][1]
    }
    assert outside == {}
    assert (counts > 0).sum(0)[: len(CITYSCAPES_19)].min() >= 3


def test_all_classes_occur_in_a_citys_proportions(class_counts: np.ndarray) -> None:
    _check_proportions(class_counts)


def test_unseen_cities_have_all_classes_in_a_citys_proportions(
    unseen_city_counts: np.ndarray,
) -> None:
    _check_proportions(unseen_city_counts)


def test_scenes_differ(scenes: list[Scene], class_counts: np.ndarray) -> None:
    share = class_counts / class_counts.sum(1, keepdims=True)
    for name in ("road", "building", "vegetation", "sky"):
        assert share[:, CITYSCAPES_19.names.index(name)].std() > 0.03
    assert {scene.layout.kind for scene in scenes} == set(LAYOUTS)
    widths = [scene.layout.right.curb for scene in scenes]
    assert np.std(widths) > 1.0
    assert len({len(scene.mesh.faces) for scene in scenes}) > 50


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
@pytest.mark.parametrize(
    "city",
    [GAME_CITY, OLD_TOWN, SUN_METROPOLIS, INDUSTRIAL_TOWN],
    ids=["game", "old town", "metropolis", "industrial"],
)
def test_every_layout_builds_in_every_city(kind: str, city: City) -> None:
    scene = build_scene(city, np.random.default_rng(5), kind=kind)
    assert scene.layout.kind == kind
    assert len(scene.items) > 20


def test_depth_grows_up_the_road(scenes: list[Scene]) -> None:
    compared = 0
    for scene in scenes[:30]:
        camera = Camera.from_pose(scene.pose, (96, 192))
        raster = rasterize(scene.mesh, camera, 1)
        labels = np.append(0, scene.mesh.faces["label"])[raster.ids]
        for column in (40, 96, 150):
            depth = raster.depth[:, column][labels[:, column] == LABEL_ID["road"]]
            assert (np.diff(depth) < 1e-3).all()  # rows run downward, toward the camera
            compared += len(depth)
    assert compared > 1000


def test_nothing_floats_or_sinks(scenes: list[Scene]) -> None:
    for scene in scenes:
        for item in scene.items:
            foot = float(item.mesh.vertices[:, 1].min()) - item.base
            slope = np.ptp(item.footprint, axis=0).max() * 0.06 + 0.05
            assert -slope < foot < 0.25 + slope


def test_traffic_keeps_to_the_right(scenes: list[Scene]) -> None:
    """Vehicles in lanes show their tail lights on our side and their headlights on the other."""
    facing = {1: 0, -1: 0}
    for scene in scenes:
        if not scene.layout.path.straight:
            continue
        for item in scene.items:
            lamps = item.mesh.faces["facing"][item.mesh.faces["emitter"] == Emitter.TAIL_LIGHT]
            middle = float(item.footprint[:, 0].mean())
            if len(lamps) and abs(lamps[0, 2]) > 0.9:
                forward = -np.sign(lamps[0, 2])  # tail lights look backward
                on_right = 1 if middle > 0 else -1
                facing[on_right] += 1 if forward == on_right else -1
    assert facing[1] > 50
    assert facing[-1] > 50


def test_people_have_the_size_of_people(scenes: list[Scene]) -> None:
    heights = []
    for scene in scenes:
        for item in scene.items:
            if (item.mesh.faces["label"] == LABEL_ID["person"]).all():
                heights.append(float(np.ptp(item.mesh.vertices[:, 1])))
    assert len(heights) > 200
    assert min(heights) > 1.0
    assert max(heights) < 2.15
    assert np.mean(heights) == pytest.approx(1.68, abs=0.08)


def test_cities_plant_their_own_kinds_of_trees() -> None:
    view = View.from_pose(
        Pose(position=(0, 1.5, 0), yaw=0, pitch=0, roll=0, field_of_view=np.pi / 2)
    )
    spot = np.array([0.0, 0.0, 20.0])

    def slim(city: City) -> float:  # palms have their crown at the top of a bare stem
        grown = [tree(spot, city, np.random.default_rng(k), view) for k in range(60)]
        return float(np.mean([item.lift > 0.6 * item.top for item in grown]))

    assert slim(GAME_CITY) == 0
    assert 0.25 < slim(SUN_METROPOLIS) < 0.6
    assert slim(replace(GAME_CITY, trees=("palm",))) == 1


def test_same_generator_state_gives_the_same_scene() -> None:
    one, two = (build_scene(GAME_CITY, np.random.default_rng(9)) for _ in range(2))
    assert one.mesh.vertices.tobytes() == two.mesh.vertices.tobytes()
    assert np.array_equal(one.mesh.faces, two.mesh.faces)
    assert one.pose == two.pose
