"""SoMA: Singular Value Decomposed Minor Components Adaptation (Yun et al., CVPR 2025)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....utils.amp import at_least_single
from ....utils.errors import LangDGError, require_int
from .low_rank import attach_low_rank

_STARTS = ("minor", "released")
# Standard deviation of a vision transformer's initial weights, by DINOv2 and timm.
_INITIAL_STD = 0.02


class SoMA:
    """Trains the singular components of weights with the smallest singular values, and biases.

    With W = U S V^T, of which the last `rank` components are taken, B = U sqrt(S) and
    A = sqrt(S) V^T train, while W - B A stays frozen. Queries, keys and values are decomposed each
    on their own, also where timm computes them by one layer.

    NOTE: in the authors' released code, the pretrained weights are loaded after the decomposition,
    which is thus that of the random initial weights, and nothing is subtracted from W. With
    `start="released"` training starts like that, at W + B A. Use it to load their released weights.

    Args:
        rank: number of components.
        modules: timm's names of the layers, such as "qkv", "proj", "fc1" and "fc2"; None for all
            Linear layers of the blocks, as in the paper.
        blocks: places of the blocks, negative ones from the end; None for all. The paper has those
            from the ninth on, `[*range(8, 24)]` of a ViT-L.
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
    """B (outputs, rank) and A (rank, inputs)."""
    u, s, vh = torch.linalg.svd(at_least_single(weight), full_matrices=False)
    root = s[-rank:].sqrt()
    b, a = u[:, -rank:] * root, root[:, None] * vh[-rank:]
    return b.to(weight), a.to(weight)


def _random_minor_components(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    return _minor_components(
        nn.init.trunc_normal_(torch.empty_like(weight), std=_INITIAL_STD), rank
    )
