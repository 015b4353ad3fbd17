"""Rein: Stronger, Fewer, & Superior (Wei et al., CVPR 2024), from the paper's equations."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ....utils.errors import LangDGError, require_int
from .base import AdapterPart, chosen_blocks, freeze_trunk


class Rein:
    """Refines the patch tokens after every block by attention to learned tokens.

    NOTE: the paper also derives the queries of a mask head from the tokens. This part (0.46 M of
    2.99 M parameters for ViT-L) is omitted, because there is no mask head.

    Args:
        tokens: number of learned tokens per block.
        rank: rank of the matrix of learned tokens.
        scale: initial value of the learned scale of all refinements.
    """

    def __init__(self, *, tokens: int = 100, rank: int = 16, scale: float = 0.001) -> None:
        require_int("tokens of Rein", tokens, 2)  # the first token is only an attention sink
        require_int("rank of Rein", rank)
        self.tokens = tokens
        self.rank = rank
        self.scale = scale

    def attach(self, trunk: nn.Module) -> None:
        """See `Adapter.attach`. Adds `rein` to the trunk, drawn from torch's global generator."""
        blocks = chosen_blocks(trunk, None)
        freeze_trunk(trunk)
        tower: Any = trunk
        refiner = ReinTokens(
            layers=len(blocks),
            channels=tower.embed_dim,
            tokens=self.tokens,
            rank=self.rank,
            scale=self.scale,
            patch_area=math.prod(tower.patch_embed.patch_size),
        )
        refiner.to(next(tower.parameters()))  # its device and dtype
        trunk.rein = refiner
        for layer, block in enumerate(blocks):
            # A hook keeps the names of the block's weights. Copies of the trunk get their own
            # hook, because a partial of a bound method is copied with its object.
            block.register_forward_hook(
                partial(refiner.after_block, layer, tower.num_prefix_tokens)
            )


class ReinTokens(AdapterPart):
    """Learned tokens of all blocks, and the parameters that blocks share.

    Args:
        layers: number of blocks.
        channels: channels of their tokens.
        tokens: see `Rein`, also for `rank` and `scale`.
        patch_area: number of pixels per patch, which scales the initial tokens.
    """

    def __init__(
        self, *, layers: int, channels: int, tokens: int, rank: int, scale: float, patch_area: int
    ) -> None:
        super().__init__()
        self.token_a = nn.Parameter(torch.empty(layers, tokens, rank))
        self.token_b = nn.Parameter(torch.empty(layers, rank, channels))
        bound = math.sqrt(6 / (3 * patch_area + math.sqrt(channels * rank)))
        for factor in (self.token_a, self.token_b):
            nn.init.uniform_(factor, -bound, bound)
        self.token_projection = nn.Linear(channels, channels)
        self.feature_projection = nn.Linear(channels, channels)
        self.scale = nn.Parameter(torch.tensor(scale))

    def refined(self, features: Tensor, layer: int) -> Tensor:
        """Refine the patch tokens (N, L, C) of a block."""
        tokens = self.token_a[layer] @ self.token_b[layer]
        attention = (features @ tokens.T / math.sqrt(features.shape[-1])).softmax(-1)
        # The first token is an attention sink and contributes nothing.
        delta = attention[..., 1:] @ self.token_projection(tokens[1:])
        return features + self.scale * self.feature_projection(delta + features)

    def after_block(
        self, layer: int, prefix: int, _: nn.Module, __: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        """Forward hook of a block; keeps the first `prefix` tokens (class token and registers)."""
        patches = self.refined(output[:, prefix:], layer)
        return torch.cat([output[:, :prefix], patches], 1)

    def merged(self) -> nn.Module:
        raise LangDGError(
            "Rein cannot be merged, because its tokens act between blocks and not on weights: "
            "export the tower with them, or train LoRA or SoMA instead"
        )
