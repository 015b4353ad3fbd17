"""Styles as points of a plane: what lies close there is alike."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from ...utils.errors import LangDGError

_FEWEST = 3  # two points always lie on a line
_SEED = 0
_PERPLEXITY = 30.0  # neighbours that t-SNE looks at, where there are as many
_NEIGHBORS = 15  # those of UMAP


class ProjectionError(LangDGError):
    """Styles cannot be projected; the message says why."""


class Projection(NamedTuple):
    """Styles in a plane.

    Attributes:
        points: (S, 2).
        axes: what the two directions are.
    """

    points: Tensor
    axes: tuple[str, str]


def project(points: Tensor, *, method: str = "pca") -> Projection:
    """Styles in a plane; the same ones always give the same picture.

    Args:
        points: (S, D), see `style_points`.
        method: a key of `METHODS`: "pca" keeps distances as far as a plane can; "tsne", for which
            scikit-learn has to be installed, and "umap", for which umap-learn has, keep
            neighbourhoods.

    Raises:
        ProjectionError: fewer than three styles, or all alike.
        ImportError: if what the method needs is not installed.
    """
    if len(points) < _FEWEST or bool((points == points[:1]).all()):
        raise ProjectionError(
            f"A projection needs at least {_FEWEST} styles that are not all alike; there "
            f"{'is one' if len(points) == 1 else f'are {len(points)}'}."
        )
    require_method(method)
    return METHODS[method](points.double())


def require_method(method: str) -> None:
    """Make sure that a method can be used.

    Raises:
        LangDGError: if there is none of this name.
        ImportError: if what it needs is not installed.
    """
    if method not in METHODS:
        raise LangDGError(f"projection '{method}', expected one of {', '.join(METHODS)}")
    module, package = _NEEDS.get(method, ("torch", "torch"))
    if find_spec(module) is None:
        raise ImportError(f"projection '{method}' needs {package}: pip install {package}")


def principal_components(points: Tensor) -> Projection:
    """The two directions in which points (S, D) differ most; also of one dimension.

    Each direction's sign is such that its largest entry is positive.
    """
    centred = points - points.mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    largest = directions.abs().argmax(dim=1, keepdim=True)
    directions = directions * directions.gather(1, largest).sign()
    share = 100 * singular.square() / singular.square().sum()
    flat = centred @ directions[:2].T
    plane = torch.nn.functional.pad(flat, (0, 2 - flat.shape[1]))
    shares = [*share.tolist(), 0.0][:2]
    first, second = (f"component {k}: {s:.0f} % of variance" for k, s in enumerate(shares, 1))
    return Projection(plane, (first, second))


def _tsne(points: Tensor) -> Projection:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", random_state=_SEED)
    return Projection(torch.from_numpy(model.fit_transform(points.numpy())), ("t-SNE 1", "t-SNE 2"))


def _umap(points: Tensor) -> Projection:
    from umap import UMAP

    # A random start: the usual spectral one fails for a handful of points.
    neighbors = min(_NEIGHBORS, len(points) - 1)
    model = UMAP(n_neighbors=neighbors, init="random", random_state=_SEED, n_jobs=1)
    return Projection(torch.from_numpy(model.fit_transform(points.numpy())), ("UMAP 1", "UMAP 2"))


METHODS: dict[str, Callable[[Tensor], Projection]] = {
    "pca": principal_components,
    "tsne": _tsne,
    "umap": _umap,
}
_NEEDS = {"tsne": ("sklearn", "scikit-learn"), "umap": ("umap", "umap-learn")}
