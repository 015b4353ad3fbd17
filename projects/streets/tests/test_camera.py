"""The camera: pixels, rays and the wedge it sees."""

import numpy as np
import pytest
from streets.camera import Camera, Pose, View


def _pose(**changes: float) -> Pose:
    values = {"yaw": 0.2, "pitch": -0.05, "roll": 0.01, "field_of_view": 1.1} | changes
    return Pose(position=(1.0, 1.5, -2.0), **values)


def test_rotation_is_orthonormal_and_right_handed() -> None:
    rotation = Camera.from_pose(_pose(), (100, 200)).rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    # x right, y down, z forward seen in a world with y up is a mirror image.
    assert np.linalg.det(rotation) == pytest.approx(-1, abs=1e-5)


def test_field_of_view_spans_the_image_width() -> None:
    camera = Camera.from_pose(_pose(field_of_view=np.pi / 2), (100, 200))
    edge = camera.project(np.array([[1.0, 0.0, 1.0]], np.float32))
    assert edge[0, 0] == pytest.approx(200)


def test_ray_slopes_invert_projection() -> None:
    camera = Camera.from_pose(_pose(), (60, 90))
    columns, rows = camera.ray_slopes(0.5)
    point = 7.0 * np.array([columns[13], rows[42], 1.0])
    np.testing.assert_allclose(camera.project(point), [13.5, 42.5], rtol=1e-5)


def test_pitch_moves_the_horizon_from_the_middle() -> None:
    far = np.array([[0.0, 1.5, 1e6]], np.float32)
    level = Camera.from_pose(_pose(yaw=0, pitch=0, roll=0), (100, 200))
    assert level.project(level.to_camera(far))[0, 1] == pytest.approx(50, abs=1e-3)
    down = Camera.from_pose(_pose(yaw=0, pitch=-0.1, roll=0), (100, 200))
    expected = 50 - down.focal * np.tan(0.1)
    assert down.project(down.to_camera(far))[0, 1] == pytest.approx(expected, abs=1e-2)


def test_view_sees_whatever_projects_into_the_image() -> None:
    pose, rng = _pose(roll=0.0), np.random.default_rng(0)
    camera, view = Camera.from_pose(pose, (100, 200)), View.from_pose(pose)
    points = rng.uniform((-60, 0, -60), (60, 3, 60), (500, 3)).astype(np.float32)
    seen = camera.to_camera(points)
    u = camera.project(np.where(seen[:, 2:] > 0.5, seen, 1e6))[:, 0]
    visible = (seen[:, 2] > 0.5) & (u > 0) & (u < 200)
    assert visible.sum() > 30
    wedge = np.array([view.sees_point(point, margin=0.1) for point in points])
    assert wedge[visible].all()
    assert wedge.mean() < 0.4  # and it does leave things out
