"""Meshes: placing, colouring and joining."""

import numpy as np
import pytest
from streets.mesh import join, polygons
from streets.shapes import box, circle, prism

_SQUARE = np.array([[(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]], np.float32)


def test_faces_of_a_solid_point_away_from_its_inside() -> None:
    mesh = polygons(box((-1, 2), (0, 3), (4, 9)), (1, 1, 1), 26, inside=(0.5, 1.5, 6.5))
    outward = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    np.testing.assert_allclose(mesh.faces["facing"], outward, atol=1e-6)
    assert mesh.faces["closed"].all()


def test_heading_turns_forward_toward_right() -> None:
    mesh = polygons(_SQUARE, (1, 1, 1), 7).placed((5, 0, 0), np.pi / 2)
    # +X becomes -Z, +Z becomes +X.
    np.testing.assert_allclose(mesh.vertices[1], (5, 0, -1), atol=1e-6)
    np.testing.assert_allclose(np.abs(mesh.faces["facing"][0]), (1, 0, 0), atol=1e-6)


def test_scale_acts_before_the_turn() -> None:
    mesh = polygons(_SQUARE, (1, 1, 1), 7).placed((0, 0, 0), np.pi / 2, scale=(3, 2, 1))
    np.testing.assert_allclose(mesh.vertices[2], (0, 2, -3), atol=1e-6)


def test_colors_tint_only_their_slot_and_leave_the_model_alone() -> None:
    model = join([polygons(_SQUARE, (0.5, 0.5, 0.5), 7, slot=1), polygons(_SQUARE, (1, 0, 0), 7)])
    painted = model.placed((0, 0, 0), colors=((1, 1, 1), (0.2, 0.4, 0.6)))
    np.testing.assert_allclose(painted.faces["albedo"], [(0.1, 0.2, 0.3), (1, 0, 0)], atol=1e-6)
    np.testing.assert_allclose(model.faces["albedo"][0], 0.5)


def test_join_keeps_order_and_renumbers_owners() -> None:
    ring = polygons(np.concatenate([_SQUARE, 0.5 * _SQUARE]), (1, 1, 1), 8, together=True)
    joined = join([polygons(_SQUARE, (1, 1, 1), 7), ring, polygons(_SQUARE, (1, 1, 1), 9)])
    assert joined.owner.tolist() == [0, 1, 1, 2]
    assert joined.faces["label"].tolist() == [7, 8, 9]
    assert joined.sizes.sum() == len(joined.vertices)


def test_normal_of_a_many_cornered_polygon_is_that_of_its_plane() -> None:
    flat = np.insert(circle(2.0, 9), 1, 4.0, axis=1)[None]
    np.testing.assert_allclose(np.abs(polygons(flat, (1, 1, 1), 7).faces["facing"][0]), (0, 1, 0))


def test_prism_is_closed() -> None:
    sides, strips = prism([(-1, 0), (-1, 1), (1, 1.5), (1, 0)], [1, 0.8, 0.8, 1])
    edges: dict[frozenset[tuple[float, ...]], int] = {}
    for polygon in [*sides, *strips]:
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            edge = frozenset((tuple(a.tolist()), tuple(b.tolist())))
            edges[edge] = edges.get(edge, 0) + 1
    assert set(edges.values()) == {2}


def test_placing_needs_a_color_for_every_slot() -> None:
    with pytest.raises(IndexError):
        polygons(_SQUARE, (1, 1, 1), 7, slot=2).placed((0, 0, 0), colors=((1, 1, 1),))
