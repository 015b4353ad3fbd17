"""The rasteriser against closed forms and against casting rays through whole scenes."""

import numpy as np
import pytest
from streets.camera import Camera, Pose
from streets.mesh import Mesh, polygons
from streets.raster import NEAR, SKY_DEPTH, Raster, clip_near, rasterize
from streets.scenes import Scene

_SKY = 23


def _camera(size: tuple[int, int] = (60, 120), pitch: float = 0.0) -> Camera:
    pose = Pose(position=(0, 1.5, 0), yaw=0, pitch=pitch, roll=0, field_of_view=1.2)
    return Camera.from_pose(pose, size)


def _ground() -> Mesh:
    plane = np.array([[(-900, 0, -9), (900, 0, -9), (900, 0, 900), (-900, 0, 900)]])
    return polygons(plane, (1, 1, 1), 7)


def test_depth_of_the_ground_is_height_over_slope() -> None:
    camera = _camera()
    raster = rasterize(_ground(), camera, 2)
    rows = raster.slopes[1]
    below = rows > 1.5 / 300
    expected = np.broadcast_to(1.5 / rows[below][:, None], raster.depth[below].shape)
    np.testing.assert_allclose(raster.depth[below], expected, rtol=1e-4)
    assert (raster.depth[rows < 0] == SKY_DEPTH).all()


def test_positions_of_ground_pixels_lie_on_the_ground() -> None:
    camera = _camera(pitch=-0.1)
    raster = rasterize(_ground(), camera, 2)
    height = raster.positions(camera)[1]
    near = (raster.ids > 0) & (raster.depth < 100)
    assert near.sum() > 1000
    np.testing.assert_allclose(height[near], 0, atol=2e-3)


def test_later_faces_cover_earlier_ones() -> None:
    wall = np.array([[(-5, 0, 10), (5, 0, 10), (5, 5, 10), (-5, 5, 10)]])
    both = np.concatenate([wall, wall])
    raster = rasterize(polygons(both, (1, 1, 1), 11), _camera(), 1)
    assert set(np.unique(raster.ids)) == {0, 2}
    np.testing.assert_allclose(raster.depth[raster.ids == 2], 10, rtol=1e-5)


def test_closed_faces_vanish_from_behind() -> None:
    wall = np.array([[(-5, 0, 10), (5, 0, 10), (5, 5, 10), (-5, 5, 10)]])
    front = rasterize(polygons(wall, (1, 1, 1), 11, inside=(0, 1, 20)), _camera(), 1)
    back = rasterize(polygons(wall, (1, 1, 1), 11, inside=(0, 1, 5)), _camera(), 1)
    assert (front.ids > 0).any()
    assert not (back.ids > 0).any()


def test_clipping_keeps_what_lies_ahead() -> None:
    triangle = np.array([(0, 0, -1), (2, 0, 1), (-2, 0, 1)], np.float32)
    kept = clip_near(triangle)
    assert kept[:, 2].min() == pytest.approx(NEAR)
    assert kept[:, 2].max() == 1
    cut = kept[np.isclose(kept[:, 2], NEAR)]
    np.testing.assert_allclose(np.abs(cut[:, 0]), 1.5, rtol=1e-5)


def _visible_label(scene: Scene, camera: Camera, raster: Raster, row: int, column: int) -> int:
    """Label at a pixel by testing every polygon of the scene: the slow reference."""
    mesh = scene.mesh
    corners = camera.to_camera(mesh.vertices).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(mesh.sizes)[:-1]])
    following = np.arange(len(corners)) + 1
    following[starts + mesh.sizes - 1] = starts
    polygon = np.repeat(np.arange(len(mesh.sizes)), mesh.sizes)
    normal = (mesh.faces["facing"] @ camera.rotation.T)[mesh.owner].astype(np.float64)
    distance = (normal * corners[starts]).sum(1)
    ray = np.array([raster.slopes[0][column], raster.slopes[1][row], 1.0])
    with np.errstate(all="ignore"):
        depth = distance / (normal @ ray)
        valid = ~(mesh.faces["closed"][mesh.owner] & (distance > 0)) & (depth > NEAR)
        point = (ray * depth[:, None])[polygon]
        largest = np.abs(normal).argmax(1)[polygon]
        first, second = np.where(largest == 0, 1, 0), np.where(largest == 2, 1, 2)
        each = np.arange(len(corners))
        x0, y0 = corners[each, first], corners[each, second]
        x1, y1 = corners[following, first], corners[following, second]
        px, py = point[each, first], point[each, second]
        crossed = ((y0 > py) != (y1 > py)) & (px < (x1 - x0) * (py - y0) / (y1 - y0) + x0)
    parity = np.add.reduceat(crossed.astype(int), starts) * valid
    crossings = np.zeros(len(mesh.faces), int)
    np.add.at(crossings, mesh.owner, parity)  # polygons of one face cut holes into each other
    nearest = np.full(len(mesh.faces), np.inf)
    np.minimum.at(nearest, mesh.owner, np.where(valid & (parity % 2 == 1), depth, np.inf))
    hit = (crossings % 2 == 1) & np.isfinite(nearest)
    if not hit.any():
        return _SKY
    coplanar = hit & (nearest <= nearest[hit].min() + 0.08)  # details lie on what carries them
    return int(mesh.faces["label"][np.flatnonzero(coplanar).max()])


def test_labels_of_whole_scenes_agree_with_ray_casting(scenes: list[Scene]) -> None:
    rng, agree, total = np.random.default_rng(0), 0, 0
    for scene in scenes[:20]:
        camera = Camera.from_pose(scene.pose, (96, 192))
        raster = rasterize(scene.mesh, camera, 2)
        labels = np.append(_SKY, scene.mesh.faces["label"])[raster.ids]
        for _ in range(30):
            row, column = int(rng.integers(1, 95)), int(rng.integers(1, 191))
            around = labels[row - 1 : row + 2, column - 1 : column + 2]
            if (around == labels[row, column]).all():  # outlines are drawn half a sample wide
                agree += _visible_label(scene, camera, raster, row, column) == labels[row, column]
                total += 1
    assert total > 400
    assert agree / total > 0.99
