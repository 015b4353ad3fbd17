"""What all adapters share: the protocol, freezing, the choice of blocks, and merging."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ....utils.errors import LangDGError


class Adapter(Protocol):
    """Puts small trainable parts on a frozen vision transformer."""

    def attach(self, trunk: nn.Module) -> None:
        """Add the parts to a trunk, in place, and freeze everything else in it.

        Args:
            trunk: `VisionTransformer` or `Eva` of timm. It must have its weights, from which parts
                may start.
        """


class AdapterPart(nn.Module, ABC):
    """A module that an adapter has put into a trunk."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """The plain module that computes the same; it shares what did not change."""


def freeze_trunk(trunk: nn.Module) -> None:
    """Freeze all parameters of a trunk, which must not have an adapter yet."""
    if any(isinstance(module, AdapterPart) for module in trunk.modules()):
        raise LangDGError(
            "the trunk has an adapter already, expected one without: merge that one, or build the "
            "tower again"
        )
    trunk.requires_grad_(False)


def chosen_blocks(trunk: nn.Module, indices: Sequence[int] | None) -> list[nn.Module]:
    """Transformer blocks of a trunk, from input to output.

    Args:
        trunk: has `blocks`, as timm's vision transformers do.
        indices: places in `blocks`, negative ones from the end; None for all.
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
    """Replace all parts of an adapter, in place, by plain modules that compute the same.

    Outputs are equal up to rounding, and the trunk is frozen and as fast as without an adapter.
    Only low-rank parts can be merged, not Rein's tokens.
    """
    parts = {name: m for name, m in trunk.named_modules() if isinstance(m, AdapterPart)}
    merged = {name: part.merged() for name, part in parts.items()}  # all, or an error changes none
    for name, module in merged.items():
        trunk.set_submodule(name, module)
    trunk.requires_grad_(False)
