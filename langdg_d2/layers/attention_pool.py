"""CLIP's attention pooling, computed only for the output token.

CLIP uses only the output of the mean token. With a single query, the key projection can be applied
to the query and the value projection after averaging, which saves 95 % of the multiplications for
7x7 pixels.
"""

import torch
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor, nn


class AttentionPool(nn.Module):
    """CLIP's `AttentionPool2d`, equal up to rounding.

    Args:
        pool: CLIP's module; its parameters are shared under the same names.
    """

    def __init__(self, pool: AttentionPool2d) -> None:
        super().__init__()
        self.positional_embedding = pool.positional_embedding
        self.k_proj: nn.Linear = pool.k_proj
        self.q_proj: nn.Linear = pool.q_proj
        self.v_proj: nn.Linear = pool.v_proj
        self.c_proj: nn.Linear = pool.c_proj
        self.num_heads = pool.num_heads

    def forward(self, x: Tensor) -> Tensor:
        """Pool features (N, C, h, w), one pixel per position, to (N, D)."""
        pixels = x.flatten(2).mT
        tokens = torch.cat([pixels.mean(dim=1, keepdim=True), pixels], dim=1)
        tokens = tokens + self.positional_embedding.to(tokens.dtype)  # (N, T, C)
        query = self.q_proj(tokens[:, 0]).unflatten(1, (self.num_heads, -1))
        query = query.transpose(0, 1)  # (heads, N, C / heads)
        keys, values = (
            projection.weight.unflatten(0, (self.num_heads, -1))
            for projection in (self.k_proj, self.v_proj)
        )  # (heads, C / heads, C)
        # The key bias shifts all scores equally and cancels in the softmax.
        scores = tokens @ (query @ keys).permute(1, 2, 0) / query.shape[-1] ** 0.5
        weights = scores.softmax(dim=1)  # (N, T, heads)
        found = (weights.mT @ tokens).transpose(0, 1) @ values.mT  # (heads, N, C / heads)
        return self.c_proj(found.transpose(0, 1).flatten(1) + self.v_proj.bias)
