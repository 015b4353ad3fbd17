"""Projections: principal components against NumPy; what is too little to project."""

import importlib.util

import numpy as np
import pytest
import torch

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization.style_report import ProjectionError, project, require_method


def test_principal_components_are_those_of_numpys_svd_up_to_sign():
    points = torch.randn(20, 7) * torch.arange(1, 8)
    plane, axes = project(points)
    centred = points.double().numpy() - points.double().numpy().mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * singular[:2]
    for own, theirs in zip(plane.numpy().T, expected.T, strict=True):
        assert np.allclose(own, np.sign(own @ theirs) * theirs)
    shares = 100 * singular**2 / (singular**2).sum()
    assert axes == (
        f"component 1: {shares[0]:.0f} % of variance",
        f"component 2: {shares[1]:.0f} % of variance",
    )


def test_the_sign_of_a_component_is_that_of_its_largest_entry():
    points = torch.tensor([[0.0, 0.0], [-3.0, 1.0], [-6.0, 2.0]])
    plane, _ = project(points)
    assert plane[:, 0].tolist() == sorted(plane[:, 0].tolist(), reverse=True)
    assert torch.equal(project(points).points, plane)


def test_styles_on_a_line_have_no_second_component():
    plane, axes = project(torch.arange(5.0)[:, None])
    assert torch.allclose(plane[:, 0], torch.arange(-2.0, 3.0).double())
    assert plane[:, 1].tolist() == [0.0] * 5
    assert axes[1] == "component 2: 0 % of variance"


@pytest.mark.parametrize(("count", "words"), [(1, "is one"), (2, "are 2"), (4, "are 4")])
def test_too_few_or_equal_styles_are_told(count, words):
    points = torch.ones(count, 3) if count > 2 else torch.randn(count, 3)
    with pytest.raises(
        ProjectionError, match=f"at least 3 styles that are not all alike; .*{words}"
    ):
        project(points)


@pytest.mark.parametrize("count", [3, 40])
def test_neighbourhoods_survive_tsne(count):
    pytest.importorskip("sklearn")
    far = torch.randn(count, 4) + 100 * (torch.arange(count) % 2)[:, None]
    plane, _ = project(far, method="tsne")
    assert plane.shape == (count, 2)
    assert plane.isfinite().all()
    if count > 3:
        distances = torch.cdist(plane, plane).fill_diagonal_(torch.inf)
        assert ((distances.argmin(dim=1) - torch.arange(count)) % 2 == 0).all()


def test_a_method_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("langdg_d2.visualization.style_report.projection.find_spec", lambda _: None)
    with pytest.raises(ImportError, match="'umap' needs umap-learn: pip install umap-learn"):
        require_method("umap")
    with pytest.raises(LangDGError, match="'isomap', expected one of pca, tsne, umap"):
        require_method("isomap")


@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn is not installed")
def test_umap_gives_finite_points():
    plane, axes = project(torch.randn(12, 4), method="umap")
    assert plane.shape == (12, 2)
    assert plane.isfinite().all()
    assert axes == ("UMAP 1", "UMAP 2")
