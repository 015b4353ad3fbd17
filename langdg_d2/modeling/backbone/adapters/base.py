"""Common parts of adapters: protocol, freezing, selection of blocks, merging."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ....utils.errors import LangDGError


class Adapter(Protocol):
    """Adds few trainable parameters to a frozen vision transformer."""

    def attach(self, trunk: nn.Module) -> None:
        """Add trainable parts to a trunk in place and freeze everything else.

        Args:
            trunk: `VisionTransformer` or `Eva` of timm with its pretrained weights, from which the
                parts may be initialised.
        """


class AdapterPart(nn.Module, ABC):
    """A module that an adapter added to a trunk."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """Return the plain module that computes the same; unchanged parameters are shared."""


def freeze_trunk(trunk: nn.Module) -> None:
    """Freeze all parameters of a trunk without an adapter."""
    if any(isinstance(module, AdapterPart) for module in trunk.modules()):
        raise LangDGError("the trunk already has an adapter: merge it, or build the tower again")
    trunk.requires_grad_(False)


def chosen_blocks(trunk: nn.Module, indices: Sequence[int] | None) -> list[nn.Module]:
    """Return transformer blocks of a trunk, from input to output.

    Args:
        trunk: module with `blocks`, as in timm's vision transformers.
        indices: indices of blocks, negative ones from the end; None for all.
    """
    blocks = getattr(trunk, "blocks", None)
    if not isinstance(blocks, (nn.ModuleList, nn.Sequential)) or not len(blocks):
        raise LangDGError(
            f"{type(trunk).__name__} has no transformer blocks, expected a VisionTransformer or an "
            "Eva of timm: choose a ViT tower, or leave out the adapter"
        )
    if indices is None:
        return list(blocks)
    if not indices or not all(-len(blocks) <= k < len(blocks) for k in indices):
        raise LangDGError(
            f"blocks of the adapter are {list(indices)}, expected some of 0 to {len(blocks) - 1}, "
            "or negative ones from the end"
        )
    return [blocks[k] for k in sorted({k % len(blocks) for k in indices})]


def merge(trunk: nn.Module) -> None:
    """Merge an adapter into the weights of a trunk, in place.

    Outputs are equal up to rounding, and the trunk is as fast as without an adapter. It stays
    frozen. Only low-rank adapters can be merged, not Rein.
    """
    parts = {name: m for name, m in trunk.named_modules() if isinstance(m, AdapterPart)}
    merged = {
        name: part.merged() for name, part in parts.items()
    }  # merge all first, so that an error leaves the trunk unchanged
    for name, module in merged.items():
        trunk.set_submodule(name, module)
    trunk.requires_grad_(False)
