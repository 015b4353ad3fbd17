"""SoMA: Singular Value Decomposed Minor Components Adaptation (Yun et al., CVPR 2025)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....utils.amp import at_least_single
from ....utils.errors import LangDGError, require_int
from .low_rank import attach_low_rank

_STARTS = ("minor", "released")
# Standard deviation of the initial weights of vision transformers in DINOv2 and timm.
_INITIAL_STD = 0.02


class SoMA:
    """Trains the minor singular components of weights, and biases.

    Let U, S and V be the last `rank` singular components of W. B = U sqrt(S) and A = sqrt(S) V^T
    are trained, and W - B A is frozen. Queries, keys and values are decomposed separately, also
    where timm computes them in one layer.

    NOTE: the authors' released code loads the pretrained weights after the decomposition. It thus
    decomposes the random initial weights, and subtracts nothing from W. `start="released"`
    reproduces this initialisation, W + B A; use it to load their released weights.

    Args:
        rank: number of components.
        modules: timm's names of the layers, such as "qkv", "proj", "fc1" and "fc2"; None for all
            Linear layers of the blocks, as in the paper.
        blocks: indices of the blocks, negative ones from the end; None for all. The paper uses the
            ninth block and later ones, `[*range(8, 24)]` in ViT-L.
        start: "minor" as in the paper, or "released".
    """

    def __init__(
        self,
        *,
        rank: int = 16,
        modules: Sequence[str] | None = None,
        blocks: Sequence[int] | None = None,
        start: str = "minor",
    ) -> None:
        if start not in _STARTS:
            raise LangDGError(f"start of SoMA is {start!r}, expected one of {list(_STARTS)}")
        require_int("rank of SoMA", rank)
        self.rank = rank
        self.modules = modules
        self.blocks = blocks
        self.start = start

    def attach(self, trunk: nn.Module) -> None:
        """See `Adapter.attach`. "released" draws from torch's global generator."""
        attach_low_rank(
            trunk,
            blocks=self.blocks,
            modules=self.modules,
            rank=self.rank,
            start=_minor_components if self.start == "minor" else _random_minor_components,
            centered=self.start == "minor",
            train_bias=True,
        )


def _minor_components(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return B (outputs, rank) and A (rank, inputs)."""
    u, s, vh = torch.linalg.svd(at_least_single(weight), full_matrices=False)
    root = s[-rank:].sqrt()
    b, a = u[:, -rank:] * root, root[:, None] * vh[-rank:]
    return b.to(weight), a.to(weight)


def _random_minor_components(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    return _minor_components(
        nn.init.trunc_normal_(torch.empty_like(weight), std=_INITIAL_STD), rank
    )
