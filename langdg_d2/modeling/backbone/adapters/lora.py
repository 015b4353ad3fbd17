"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., ICLR 2022)."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ....utils.errors import require_int
from .low_rank import attach_low_rank


class LoRA:
    """Adds `alpha / rank * B A x` to Linear layers. B is initialised to zero.

    Queries, keys and values have separate A and B, also where timm computes them in one layer.

    Args:
        rank: rank of the update. VFMSeg (AAAI 2025) uses 32.
        alpha: numerator of the scale; None for the rank, which gives a scale of 1.
        modules: timm's names of the layers, such as "qkv", "proj", "fc1" and "fc2"; None for all
            Linear layers of the blocks.
        blocks: indices of the blocks, negative ones from the end; None for all.
    """

    def __init__(
        self,
        *,
        rank: int,
        alpha: float | None = None,
        modules: Sequence[str] | None = None,
        blocks: Sequence[int] | None = None,
    ) -> None:
        require_int("rank of LoRA", rank)
        self.rank = rank
        self.alpha = rank if alpha is None else alpha
        self.modules = modules
        self.blocks = blocks

    def attach(self, trunk: nn.Module) -> None:
        """See `Adapter.attach`. A is drawn from torch's global generator."""
        attach_low_rank(
            trunk,
            blocks=self.blocks,
            modules=self.modules,
            rank=self.rank,
            start=_from_zero,
            scale=self.alpha / self.rank,
        )


def _from_zero(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return B of zeros, and A initialised like torch's Linear."""
    outputs, inputs = weight.shape
    a = nn.init.kaiming_uniform_(weight.new_empty(rank, inputs), a=math.sqrt(5))
    return weight.new_zeros(outputs, rank), a
