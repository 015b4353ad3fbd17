"""Linear layers with a trainable low-rank part, shared by LoRA and SoMA."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....utils.errors import LangDGError, require_int
from .base import AdapterPart, chosen_blocks, freeze_trunk

# Function of a weight and a rank that returns B and A; B A has the shape of the weight.
Start = Callable[[Tensor, int], tuple[Tensor, Tensor]]

_JOINED = {"qkv": 3}  # number of weights that timm joins in one layer, by the layer's name


# A subclass of Linear instead of torch's parametrization of the weight W + BA, because
# - the gradient of a parametrized weight costs as much as training the full weight;
# - `weight` and `bias` keep their names, so weight files fit with and without the adapter;
# - copying, mixed precision, DDP and export work as for any other layer.
class LowRankLinear(nn.Linear, AdapterPart):
    """Linear layer with a frozen weight W and a trainable low-rank part: `W x + scale B A x`.

    If `centered`, the initial low-rank product is subtracted, so the layer initially equals the
    plain one. The initial factors are stored instead of changing W, because adapter files identify
    the tower by W.

    Args:
        linear: plain layer, whose parameters are shared.
        parts: number of weights joined along the outputs; each has its own A and B.
        rank: rank of each part.
        start: returns the initial B and A of each part.
        scale: scale of the low-rank part.
        centered: whether to subtract the initial low-rank product.

    Attributes:
        lora_a: (parts, rank, inputs).
        lora_b: (parts, outputs / parts, rank).
        start_a: initial `lora_a` with `centered`, otherwise None.
        start_b: initial `lora_b` with `centered`, otherwise None.
    """

    start_a: Tensor | None
    start_b: Tensor | None

    def __init__(
        self,
        linear: nn.Linear,
        *,
        parts: int,
        rank: int,
        start: Start,
        scale: float = 1.0,
        centered: bool = False,
    ) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, has_bias, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.train(linear.training)
        pieces = self.weight.detach().chunk(parts)
        require_int("rank of the adapter", rank, 1, min(pieces[0].shape))
        starts_b, starts_a = zip(*[start(piece, rank) for piece in pieces], strict=True)
        self.lora_a = nn.Parameter(torch.stack(starts_a))
        self.lora_b = nn.Parameter(torch.stack(starts_b))
        self.scale = scale
        self.register_buffer("start_a", self.lora_a.detach().clone() if centered else None)
        self.register_buffer("start_b", self.lora_b.detach().clone() if centered else None)

    def factors(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield A and B of the update of each joined weight."""
        for k, (a, b) in enumerate(zip(self.lora_a, self.lora_b, strict=True)):
            if self.start_a is None or self.start_b is None:
                yield a, b
            else:
                yield torch.cat([a, self.start_a[k]]), torch.cat([b, -self.start_b[k]], 1)

    def forward(self, input: Tensor) -> Tensor:
        added = [F.linear(F.linear(input, a), b) for a, b in self.factors()]
        return super().forward(input) + self.scale * torch.cat(added, -1)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a Linear layer with the weight W + scale B A."""
        added = torch.cat([b @ a for a, b in self.factors()])
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        plain.weight = nn.Parameter(self.weight + self.scale * added)
        plain.bias = self.bias
        return plain.train(self.training)


def attach_low_rank(
    trunk: nn.Module,
    *,
    blocks: Sequence[int] | None,
    modules: Sequence[str] | None,
    rank: int,
    start: Start,
    scale: float = 1.0,
    centered: bool = False,
    train_bias: bool = False,
) -> None:
    """Freeze a trunk and add low-rank parts to Linear layers of its blocks.

    Args:
        trunk: see `Adapter.attach`.
        blocks: see `chosen_blocks`.
        modules: timm's names of the layers, such as "qkv" and "fc1"; None for all.
        rank: see `LowRankLinear`, also for `start`, `scale` and `centered`.
        train_bias: train the biases of these layers.
    """
    chosen: list[tuple[Any, str, nn.Linear]] = [
        (parent, name, layer)
        for block in chosen_blocks(trunk, blocks)
        for parent in block.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear) and (modules is None or name in modules)
    ]
    found = {name for _, name, _ in chosen}
    if missing := sorted({*(modules or ())} - found):
        known = {
            name.rpartition(".")[2]
            for name, layer in trunk.named_modules()
            if name.startswith("blocks.") and isinstance(layer, nn.Linear)
        }
        raise LangDGError(
            f"modules {missing} of the adapter are not in the blocks of the trunk; expected some "
            f"of {sorted(known)}, or null for all"
        )
    if not chosen:
        raise LangDGError("the blocks have no Linear layers: choose another tower or adapter")
    freeze_trunk(trunk)
    options: dict[str, Any] = {"rank": rank, "start": start, "scale": scale, "centered": centered}
    # Build all parts first, so that an error leaves the trunk unchanged.
    low_ranks = [
        LowRankLinear(one, parts=_JOINED.get(name, 1), **options) for _, name, one in chosen
    ]
    for (parent, name, _), low_rank in zip(chosen, low_ranks, strict=True):
        setattr(parent, name, low_rank)
        if train_bias:
            for bias in _biases(parent, low_rank):
                bias.requires_grad_(True)
        if hasattr(parent, "qkv_bias_separate"):
            # Otherwise Eva uses the weight of its joined layer without calling the layer.
            parent.qkv_bias_separate = True


def _biases(parent: nn.Module, layer: LowRankLinear) -> list[Tensor]:
    """Return the biases of a layer; those of Eva's joined layer belong to the attention."""
    biases: list[Any] = [layer.bias]
    if layer is getattr(parent, "qkv", None):
        biases += [getattr(parent, "q_bias", None), getattr(parent, "v_bias", None)]
    return [bias for bias in biases if bias is not None]
